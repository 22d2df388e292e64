// SPDX-License-Identifier: Apache-2.0
import sax, { type Handlers } from 'sax';

/** An element with its text, in which white space is one blank. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

export interface XmlDocument {
  readonly root: XmlElement;
  readonly comments: readonly string[];
}

/** A file that is not what the registry's schema says. The message names the line. */
export class XmlError extends Error {
  override readonly name = 'XmlError';
}

const limits = { characters: 1 << 20, depth: 16, elements: 50_000 } as const;

interface Open {
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: XmlElement[];
  text: string;
  line: number;
}

/** Reads a well-formed document without a document type: nothing in it stands for anything else. Throws `XmlError`. */
export function readXml(text: string): XmlDocument {
  if (text.length > limits.characters) throw new XmlError(`more than ${limits.characters} characters`);
  const parser = sax.parser(true);
  const top: Open = { name: '', attributes: {}, children: [], text: '', line: 1 };
  const open = [top];
  const comments: string[] = [];
  let elements = 0;
  const fail = (what: string): never => {
    throw new XmlError(`line ${parser.line + 1}: ${what}`);
  };
  const addText = (part: string): void => {
    const current = open.at(-1);
    if (current !== undefined) current.text += part;
  };
  const handlers: Handlers = {
    onopentag({ name, attributes }) {
      if (open.length > limits.depth) fail(`elements deeper than ${limits.depth}`);
      if (++elements > limits.elements) fail(`more than ${limits.elements} elements`);
      open.push({ name, attributes: { ...attributes }, children: [], text: '', line: parser.line + 1 });
    },
    onclosetag() {
      const closed = open.pop();
      if (closed === undefined) return fail('an element ends that did not begin');
      open.at(-1)?.children.push({ ...closed, text: closed.text.replaceAll(/\s+/g, ' ').trim() });
    },
    ontext: addText,
    oncdata: addText,
    oncomment: (comment) => void comments.push(comment),
    ondoctype: () => fail('a document type'),
    onerror: (error) => fail(error.message.split('\n', 1)[0] ?? 'not XML'),
  };
  Object.assign(parser, handlers);
  parser.write(text.replace(/^\uFEFF/, '')).close();
  const [root, ...more] = top.children;
  if (root === undefined || more.length > 0) throw new XmlError('not one element at the top');
  return { root, comments };
}
