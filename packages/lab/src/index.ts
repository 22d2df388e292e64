// SPDX-License-Identifier: Apache-2.0
export { attachConsole, type ConsoleStreams } from './attach-console.ts';
export { Board, type BoardFile, type QuitOptions } from './board.ts';
export type { ConsoleLine } from './console-log.ts';
export {
  adoptBuild,
  type CreateBoardOptions,
  checkOff,
  cloneBoard,
  createBoard,
  openBoard,
  reflashBoard,
  removeBoard,
} from './create-board.ts';
export type { StartOptions } from './emulator.ts';
export type { PortForward } from './emulator-arguments.ts';
export type { FlipOptions, PartOptions } from './parts.ts';
export type { CommandResult } from './processes.ts';
export type { BoardImage } from './image.ts';
export { hasSameLayout } from './reflash.ts';
export type { RunState } from './run-state.ts';
export { type ConsoleMatch, SerialConsole, type WaitOptions } from './serial-console.ts';
export type { SshOptions } from './ssh.ts';
export type { CrashCopy } from './writes/crash-copy.ts';
export type { CrashState } from './writes/crash-state.ts';
export type { CrashStateOptions, CrashStates, LeftOut } from './writes/crash-states.ts';
export type { Medium } from './writes/log-format.ts';
export { type LoggedRequest, positionAt, type WriteLog } from './writes/write-log.ts';
