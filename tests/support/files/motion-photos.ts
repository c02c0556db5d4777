/** Pictures with a film in their file, as Android's and Samsung's cameras write them. */

const XMP_HEAD = Buffer.from('http://ns.adobe.com/xap/1.0/\0', 'latin1')

type Item = {
  mime: string
  semantic: 'Primary' | 'GainMap' | 'MotionPhoto'
  length?: number
  padding?: number
}

/** Google's before 2018: `MicroVideoOffset` bytes before the end the film begins. */
export function microVideo(jpeg: Buffer, film: Buffer): Buffer {
  const attributes = `GCamera:MicroVideo="1" GCamera:MicroVideoVersion="1" GCamera:MicroVideoOffset="${film.length}"`
  return Buffer.concat([withXmp(jpeg, attributes, ''), film])
}

/**
 * Android's Motion Photo format 1.0: picture, perhaps a gain map (Ultra HDR), film, each with padding behind
 * it, and a directory of them.
 */
export function motionPhoto(
  jpeg: Buffer,
  film: Buffer,
  { gainMap, padding = 0 }: { gainMap?: Buffer; padding?: number } = {},
): Buffer {
  const items: Item[] = [
    { mime: 'image/jpeg', semantic: 'Primary', padding: 0 },
    ...(gainMap ? [{ mime: 'image/jpeg', semantic: 'GainMap', length: gainMap.length } as const] : []),
    { mime: 'video/mp4', semantic: 'MotionPhoto', length: film.length, padding },
  ]
  const xmp = withXmp(jpeg, 'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"', directory(items))
  return Buffer.concat([xmp, ...(gainMap ? [gainMap] : []), film, Buffer.alloc(padding)])
}

/** An editor that kept the metadata and left out the film. */
export function withoutItsFilm(jpeg: Buffer): Buffer {
  const items: Item[] = [
    { mime: 'image/jpeg', semantic: 'Primary' },
    { mime: 'video/mp4', semantic: 'MotionPhoto', length: Math.floor(jpeg.length / 2) },
  ]
  return withXmp(jpeg, 'GCamera:MotionPhoto="1"', directory(items))
}

/** Samsung's JPEG: blocks behind the picture, then their directory. */
export function samsungJpeg(jpeg: Buffer, film: Buffer): Buffer {
  const time = { type: 0x0a01, name: 'Image_UTC_Data', content: Buffer.from('1690000000000') }
  return Buffer.concat([
    jpeg,
    samsungTrailer([time, { type: 0x0a30, name: 'MotionPhoto_Data', content: film }]),
  ])
}

/** Google's HEIC and AVIF: a box of its own behind the picture. */
export function motionHeic(heic: Buffer, film: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + film.length, 0)
  head.write('mpvd', 4, 'latin1')
  return Buffer.concat([heic, head, film])
}

/** Samsung's HEIC: the same, and a trailer that says by two numbers where the film is. */
export function samsungHeic(heic: Buffer, film: Buffer): Buffer {
  const place = Buffer.alloc(12)
  place.write('mpv2', 0, 'latin1')
  place.writeUInt32BE(heic.length + 8, 4)
  place.writeUInt32BE(film.length, 8)
  const trailer = samsungTrailer([{ type: 0x0a30, name: 'MotionPhoto_Data', content: place }])
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + trailer.length, 0)
  head.write('sefd', 4, 'latin1')
  return Buffer.concat([motionHeic(heic, film), head, trailer])
}

function samsungTrailer(blocks: { type: number; name: string; content: Buffer }[]): Buffer {
  const written = blocks.map(({ type, name, content }) => {
    const head = Buffer.alloc(8)
    head.writeUInt16LE(type, 2)
    head.writeUInt32LE(name.length, 4)
    return { type, bytes: Buffer.concat([head, Buffer.from(name, 'latin1'), content]) }
  })
  const list = Buffer.alloc(12 + written.length * 12)
  list.write('SEFH', 0, 'latin1')
  list.writeUInt32LE(106, 4)
  list.writeUInt32LE(written.length, 8)
  let distance = written.reduce((sum, { bytes }) => sum + bytes.length, 0)
  for (const [index, { type, bytes }] of written.entries()) {
    list.writeUInt16LE(type, 12 + index * 12 + 2)
    list.writeUInt32LE(distance, 12 + index * 12 + 4)
    list.writeUInt32LE(bytes.length, 12 + index * 12 + 8)
    distance -= bytes.length
  }
  const end = Buffer.alloc(8)
  end.writeUInt32LE(list.length, 0)
  end.write('SEFT', 4, 'latin1')
  return Buffer.concat([...written.map(({ bytes }) => bytes), list, end])
}

function directory(items: Item[]): string {
  const listed = items.map(({ mime, semantic, length, padding }) => {
    const rest = [
      ...(length === undefined ? [] : [`Item:Length="${length}"`]),
      ...(padding === undefined ? [] : [`Item:Padding="${padding}"`]),
    ].join(' ')
    return (
      `<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="${mime}" ` +
      `Item:Semantic="${semantic}" ${rest}/></rdf:li>`
    )
  })
  return `<Container:Directory><rdf:Seq>${listed.join('')}</rdf:Seq></Container:Directory>`
}

/** The JPEG with an XMP segment right behind its first marker. */
function withXmp(jpeg: Buffer, attributes: string, content: string): Buffer {
  const packet = Buffer.from(
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
      '<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" ' +
      'xmlns:Container="http://ns.google.com/photos/1.0/container/" ' +
      `xmlns:Item="http://ns.google.com/photos/1.0/container/item/" ${attributes}>${content}` +
      '</rdf:Description></rdf:RDF></x:xmpmeta>',
  )
  const head = Buffer.from([0xff, 0xe1, 0, 0])
  head.writeUInt16BE(2 + XMP_HEAD.length + packet.length, 2)
  return Buffer.concat([jpeg.subarray(0, 2), head, XMP_HEAD, packet, jpeg.subarray(2)])
}
