// Words for people: numbers with their nouns, lists, spans of time, and a command line to copy.

/** `1 user`, `2 users`; `many` where an s is not enough. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

const units: [name: string, ms: number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
];

/** In the largest unit that fits: `3 minutes`. */
export function span(ms: number): string {
  for (const [name, size] of units) if (ms >= size) return counted(Math.floor(ms / size), name);
  return 'less than a second';
}

/** `2 minutes ago`; a time ahead of ours is now. */
export function ago(time: string, now = Date.now()): string {
  return now - Date.parse(time) < 1_000 ? 'just now' : `${span(now - Date.parse(time))} ago`;
}

/** What is ahead: `in 12 seconds`. */
export function ahead(time: string, now = Date.now()): string {
  const ms = Date.parse(time) - now;
  return ms < 1_000 ? 'now' : `in ${span(ms)}`;
}

/** Lines of at most `width` columns; a longer word has a line of its own. */
export function wrap(text: string, width = Number.MAX_SAFE_INTEGER): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** This command with more options, to be copied into a shell. Never the token. */
export function commandLine(...more: string[]): string {
  const given = process.argv.slice(2).filter((word, index, all) => {
    return !(word === '--token' || word.startsWith('--token=') || all[index - 1] === '--token');
  });
  return ['crossfade', ...given, ...more].map(quoted).join(' ');
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
