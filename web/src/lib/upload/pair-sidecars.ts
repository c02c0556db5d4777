/** Which of the chosen files are photographs or videos, and which belong to one of them. Pure. */

export type FoundFile<Source> = {
  source: Source /** With its folders, `/` between. */
  path: string
  size: number
}
export type Chosen<Source> = {
  source: Source
  name: string
  size: number
  sidecar: Source | null
  skip?: string
}
/** Extensions with their dot, in lower case, as the server lists them. */
export type MediaTypes = { image: string[]; video: string[]; sidecar: string[] }

/** What operating systems leave in folders; nobody means to upload it, so nobody is told that it was not. */
const LITTER = new Set(['.ds_store', 'thumbs.db', 'desktop.ini', '.picasa.ini', '.nomedia'])

export function pairSidecars<Source>(
  files: readonly FoundFile<Source>[],
  types: MediaTypes,
): Chosen<Source>[] {
  const media = new Set([...types.image, ...types.video])
  const sidecars = new Map<string, FoundFile<Source>>()
  for (const file of files) {
    if (types.sidecar.includes(extensionOf(file.path))) sidecars.set(file.path.toLowerCase(), file)
  }
  const used = new Set<FoundFile<Source>>()
  const chosen: Chosen<Source>[] = []
  for (const file of files) {
    const name = file.path.slice(file.path.lastIndexOf('/') + 1)
    const extension = extensionOf(file.path)
    if (LITTER.has(name.toLowerCase()) || name.startsWith('._') || sidecars.has(file.path.toLowerCase()))
      continue
    if (!media.has(extension)) {
      const what =
        extension === ''
          ? 'It has no extension'
          : `${extension} is not a photo or video format that the server knows`
      chosen.push({ source: file.source, name: file.path, size: file.size, sidecar: null, skip: what })
      continue
    }
    const path = file.path.toLowerCase()
    // IMG_1.jpg.xmp or IMG_1.xmp, as the two schools have it.
    const sidecar = types.sidecar
      .flatMap((ending) => [
        sidecars.get(path + ending),
        sidecars.get(path.slice(0, -extension.length) + ending),
      ])
      .find((candidate) => candidate !== undefined)
    if (sidecar) used.add(sidecar)
    chosen.push({ source: file.source, name: file.path, size: file.size, sidecar: sidecar?.source ?? null })
  }
  for (const file of sidecars.values()) {
    if (used.has(file)) continue
    const skip = 'A sidecar without its photo: choose both together'
    chosen.push({ source: file.source, name: file.path, size: file.size, sidecar: null, skip })
  }
  return chosen
}

/** `.jpg`; empty where there is none. */
export function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  return dot <= 0 ? '' : name.slice(dot).toLowerCase()
}
