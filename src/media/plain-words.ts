/** Of what a library says; more is not for people. */
const MOST_CHARACTERS = 300

/**
 * What a decoder says of a file, fit for its owner's eyes: one line, without line breaks that a library wrote
 * as two characters, and without any path of this machine. `paths`: those that the decoder was given, which
 * may hold blanks; others are told by their slash.
 */
export function plainWords(message: string, paths: readonly string[] = []): string {
  const known = paths.toSorted((a, b) => b.length - a.length)
  const withoutKnown = known.reduce(
    // With what was added to the name, and the quotes around it.
    (text, path) =>
      text.replace(new RegExp(`['"]?${RegExp.escape(path)}[^\\s'",:;)]*['"]?`, 'g'), 'the file'),
    message.replaceAll('file://', ''),
  )
  const line = withoutKnown
    .replace(/\\+[nrt]/g, '\n')
    .split(/[\r\n]+/)
    .map((one) => one.trim())
    .find((one) => one !== '')
  return (line ?? '')
    .replace(/(^|[\s'"(=:,])(?:[a-z]:)?[/\\][^\s'",:;)]+/gi, '$1the file')
    .replace(/\s+/g, ' ')
    .slice(0, MOST_CHARACTERS)
    .trim()
}
