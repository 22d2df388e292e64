// SPDX-License-Identifier: Apache-2.0

const [quote, backslash, comma, bracket, brace] = [...'"\\,[{'].map((one) => one.charCodeAt(0));

/**
 * Whether a JSON text (RFC 8259) has more than `most` values, of all depths. An empty list takes two characters of a text and forty bytes of memory: whoever
 * reads what anybody may have written asks before it is parsed. Of a text that is not JSON the answer means nothing, and is found as soon.
 */
export function hasMoreValues(text: string, most: number): boolean {
  // Each value but the first stands behind one of these.
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) at = endOfString(text, at);
    else if (code === comma || code === bracket || code === brace) values++;
    if (values > most) return true;
  }
  return false;
}

/** The place of the quote that ends the string which begins at `start`; the end of the text where there is none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = end;
    while (text.charCodeAt(escapes - 1) === backslash) escapes--;
    // After an even number of them the quote is one.
    if ((end - escapes) % 2 === 0) return end;
  }
  return text.length;
}
