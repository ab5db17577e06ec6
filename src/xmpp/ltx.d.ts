// Types of the part of ltx 3 that Crossfade uses: the element tree shared with @xmpp/*.
declare module 'ltx' {
  export type Node = Element | string;
  export class Element {
    constructor(name: string, attrs?: Record<string, string | undefined>);
    name: string;
    parent: Element | null;
    attrs: Record<string, string>;
    children: Node[];
    is(name: string, xmlns?: string): boolean;
    getNS(): string | undefined;
    getChild(name: string, xmlns?: string): Element | undefined;
    getChildElements(): Element[];
    getChildText(name: string, xmlns?: string): string | null;
    getText(): string;
    text(): string;
    append(...nodes: Node[]): this;
    cnode<T extends Node>(child: T): T;
    c(name: string, attrs?: Record<string, string>): Element;
    t(text: string): this;
    up(): Element;
    root(): Element;
    toString(): string;
  }
  export default Element;
}
