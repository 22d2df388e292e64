// SPDX-License-Identifier: Apache-2.0
//
// What is used here of the package sax, which brings no types.
declare module 'sax' {
  interface Tag {
    readonly name: string;
    readonly attributes: Readonly<Record<string, string>>;
  }

  export interface Handlers {
    onopentag(tag: Tag): void;
    onclosetag(name: string): void;
    ontext(text: string): void;
    oncdata(text: string): void;
    oncomment(text: string): void;
    ondoctype(text: string): void;
    onerror(error: Error): void;
  }

  interface Parser {
    /** From 0. */
    readonly line: number;
    write(text: string): Parser;
    close(): Parser;
  }

  const sax: { parser(strict: boolean): Parser };
  export default sax;
}
