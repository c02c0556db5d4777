import type { StagedFile } from '../placement/uploads/stage.ts'

/** A file of a form, while it arrives: its bytes are read before the next file is asked for. */
export type IncomingFile = {
  /** The form's name for it. */
  field: string
  /** As the client calls the file; '' where it doesn't. */
  name: string
  bytes: AsyncIterable<Buffer>
}

export type StagedFiles = {
  /** By field. */
  files: ReadonlyMap<string, { name: string; staged: StagedFile }>
  /** Removes what is still staged; files that became objects are not affected. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Stages every file with `stage`. Use with `await using`. Throws what `files` and `stage` throw; then nothing
 * stays staged.
 */
export async function stageFiles(
  files: AsyncIterable<IncomingFile>,
  stage: (file: IncomingFile) => Promise<StagedFile>,
): Promise<StagedFiles> {
  const all = new Map<string, { name: string; staged: StagedFile }>()
  const discard = async () => {
    for (const { staged } of all.values()) await staged.discard()
  }
  try {
    for await (const file of files) all.set(file.field, { name: file.name, staged: await stage(file) })
  } catch (error) {
    await discard()
    throw error
  }
  return { files: all, [Symbol.asyncDispose]: discard }
}
