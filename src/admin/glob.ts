// Patterns of JIDs: `*` stands for any text, `?` for one character. Linear whatever the pattern, unlike a regular expression.

/** Tells whether a text fits; letters of the pattern are taken as small ones, as prepared JIDs have them. */
export function makeGlob(pattern: string): (text: string) => boolean {
  const wanted = [...pattern.toLowerCase()];
  return (text) => fits(wanted, [...text]);
}

function fits(pattern: readonly string[], text: readonly string[]): boolean {
  let at = 0;
  /** The last star, and where the text stood when it was met: what does not fit behind it lengthens the star by one. */
  let star = -1;
  let met = 0;
  for (let index = 0; index < text.length; ) {
    if (pattern[at] === '*') {
      star = at++;
      met = index;
    } else if (pattern[at] === '?' || pattern[at] === text[index]) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++met;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
