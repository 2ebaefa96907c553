/** A Markdown table; bars and line breaks in cells are escaped. */
export const table = (head: string[], rows: string[][]): string =>
  [head, head.map(() => '---'), ...rows.map((cells) => cells.map(escapeCell))]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')

const escapeCell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

/** A document with a note of where it comes from. */
export const page = (title: string, source: string, parts: string[]): string =>
  [`# ${title}`, `<!-- Written by \`bun run reference\` from ${source}. -->`, ...parts, '']
    .join('\n\n')
    .replace(/\n+$/, '\n')
