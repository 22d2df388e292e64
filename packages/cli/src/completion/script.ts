// SPDX-License-Identifier: Apache-2.0

/** Words for a single-quoted shell string. */
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The script that a shell sources: it asks `mbl complete` at each Tab. `launcher` is the absolute path of `mbl`. */
export function completionScript(shell: 'bash' | 'zsh', launcher: string): string {
  return shell === 'bash' ? bash(quote(launcher)) : zsh(quote(launcher));
}

const bash = (launcher: string): string => `# bash completion for mbl
_mbl() {
  local line cur=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :folders ]]; then
      compopt -o dirnames 2>/dev/null
      return
    fi
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(${launcher} complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _mbl mbl ./mbl
`;

const zsh = (launcher: string): string => `#compdef mbl
_mbl() {
  local line
  local -a found
  while IFS= read -r line; do
    if [[ $line == :folders ]]; then
      _files -/
      return
    fi
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <(${launcher} complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe -t mbl mbl found
}
compdef _mbl mbl ./mbl
`;
