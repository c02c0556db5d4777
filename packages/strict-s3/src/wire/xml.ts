/** The XML of the S3 protocol: a small writer, and a reader for the few request bodies that exist. */
import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { S3Error } from './s3-error.ts'

export const s3Namespace = 'http://s3.amazonaws.com/doc/2006-03-01/'

/**
 * An element's content: text, child elements in order (an array repeats the element), or nothing (left out).
 */
export type XmlValue = string | number | boolean | undefined | XmlElements | XmlValue[]
export type XmlElements = { [name: string]: XmlValue }

function escapeXml(text: string): string {
  return text.replace(/[&<>"\r]/g, (character) =>
    character === '&'
      ? '&amp;'
      : character === '<'
        ? '&lt;'
        : character === '>'
          ? '&gt;'
          : character === '"'
            ? '&quot;'
            : '&#13;',
  )
}

function writeElement(name: string, value: XmlValue): string {
  if (value === undefined) return ''
  if (Array.isArray(value)) return value.map((item) => writeElement(name, item)).join('')
  const content = typeof value === 'object' ? writeElements(value) : escapeXml(String(value))
  return `<${name}>${content}</${name}>`
}

function writeElements(elements: XmlElements): string {
  return Object.entries(elements)
    .map(([name, value]) => writeElement(name, value))
    .join('')
}

/** A whole document. `namespaced: false` for errors, which carry no namespace. */
export function writeXml(
  root: string,
  elements: XmlElements,
  options: { namespaced?: boolean } = {},
): string {
  const open = options.namespaced === false ? root : `${root} xmlns="${s3Namespace}"`
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${open}>${writeElements(elements)}</${root}>`
}

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  htmlEntities: true,
  removeNSPrefix: true,
})

/** A parsed element: its text, or its children by name. */
export type XmlNode = {
  text: string
  children(name: string): XmlNode[]
  textOf(name: string): string | undefined
}

function wrap(value: unknown): XmlNode {
  const isElement = typeof value === 'object' && value !== null
  const fields = isElement ? (value as Record<string, unknown>) : {}
  const children = (name: string): XmlNode[] => {
    const found = fields[name]
    if (found === undefined) return []
    return (Array.isArray(found) ? found : [found]).map(wrap)
  }
  return {
    text: isElement ? String(fields['#text'] ?? '') : String(value),
    children,
    textOf: (name) => children(name)[0]?.text,
  }
}

/** Reads a request body whose document element must be `root`; anything else is `MalformedXML`. */
export function readXml(body: string, root: string): XmlNode {
  if (XMLValidator.validate(body) !== true) throw new S3Error('MalformedXML')
  const document: unknown = parser.parse(body)
  const found = wrap(document).children(root)[0]
  if (found === undefined) throw new S3Error('MalformedXML')
  return found
}
