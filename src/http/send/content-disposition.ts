/**
 * The header's value with the name in RFC 5987's form only: percent-encoded UTF-8, in which quotes, line
 * breaks and path separators of a hostile name are plain data.
 */
export function contentDisposition(type: 'inline' | 'attachment', fileName?: string): string {
  if (fileName === undefined) return type
  // encodeURIComponent throws on a lone surrogate and leaves '()* as they are, which RFC 5987 does not allow.
  const encoded = encodeURIComponent(fileName.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${type}; filename*=UTF-8''${encoded}`
}
