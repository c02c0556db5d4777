/** Files out of what was dropped, pasted or picked; folders are walked to their ends. */
import type { FoundFile } from './pair-sidecars.ts'

/** Must be called in the event itself: what a drop holds is gone afterwards. */
export function collectDropped(transfer: DataTransfer): Promise<FoundFile<File>[]> {
  const entries = [...transfer.items]
    .filter((item) => item.kind === 'file')
    .map((item) => item.webkitGetAsEntry() ?? item.getAsFile())
    .filter((entry) => entry !== null)
  return Promise.all(
    entries.map((entry) => (entry instanceof File ? [found(entry, entry.name)] : walk(entry))),
  ).then((lists) => lists.flat())
}

export function collectPicked(files: FileList): FoundFile<File>[] {
  return [...files].map((file) => found(file, file.webkitRelativePath || file.name))
}

function found(file: File, path: string): FoundFile<File> {
  return { source: file, path, size: file.size }
}

async function walk(entry: FileSystemEntry): Promise<FoundFile<File>[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    )
    return [found(file, entry.fullPath.replace(/^\//, ''))]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const files: FoundFile<File>[] = []
  for (;;) {
    // A reader gives about 100 at a time, and none when it is done.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (entries.length === 0) return files
    for (const child of entries) files.push(...(await walk(child)))
  }
}
