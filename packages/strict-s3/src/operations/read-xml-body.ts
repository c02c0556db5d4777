import type { Call } from '../requests/call.ts'
import { S3Error } from '../wire/s3-error.ts'
import { readXml, type XmlNode } from '../wire/xml.ts'

/** Enough for 10,000 parts with checksums, and for 1,000 keys of 1,024 bytes in the longest escapes. */
const maxXmlBytes = 8 * 1024 * 1024

/** Reads and checks a whole XML body; `needsDigest`: the client must have said what it sends. */
export async function readXmlBody(
  call: Call,
  root: string,
  options: { needsDigest?: boolean; checksumsAreOfObject?: boolean } = {},
): Promise<XmlNode> {
  const body = call.body(maxXmlBytes, options)
  if (options.needsDigest && !body.hasContentMd5 && body.declaredChecksum === null) {
    throw new S3Error('InvalidRequest', { message: 'Missing required header for this request: Content-MD5' })
  }
  const chunks: Buffer[] = []
  await body.read((chunk) => {
    chunks.push(chunk)
  })
  return readXml(Buffer.concat(chunks).toString('utf8'), root)
}
