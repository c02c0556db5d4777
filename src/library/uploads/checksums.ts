/** SHA-1 in one of the two spellings that clients send: base64 (28 characters) or hex. Null: neither. */
export function parseChecksum(text: string): Buffer | null {
  if (/^[0-9a-f]{40}$/i.test(text)) return Buffer.from(text, 'hex')
  if (/^[0-9a-z+/_-]{27}=$/i.test(text)) return Buffer.from(text, 'base64')
  return null
}
