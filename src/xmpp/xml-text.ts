// Which characters XML can carry, even escaped (XML 1.0 §2.2; one more makes a server close the stream, RFC 6120 §11.1). Pure.

const illegal = /[^\t\n\r\u0020-\ufffd]/;

/** No control character but tab and line ends, neither U+FFFE nor U+FFFF, and no surrogate without its other half. */
export function isXmlText(text: string): boolean {
  return !illegal.test(text) && text.isWellFormed();
}
