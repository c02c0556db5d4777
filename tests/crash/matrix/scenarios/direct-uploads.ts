/** Uploads past the server: announced and confirmed at the server, put by the client, proven by a worker. */
import { readFile } from 'node:fs/promises'
import { announceUpload } from '../../../../src/library/direct-uploads/announce.ts'
import { confirmUpload } from '../../../../src/library/direct-uploads/confirm.ts'
import { loadUpload } from '../../../../src/library/direct-uploads/rows.ts'
import { signDirectParts } from '../../../../src/library/direct-uploads/sign-parts.ts'
import type { SignedRequest } from '../../../../src/placement/uploads/direct-target.ts'
import type { Running, Scenario } from '../scenario.ts'
import { BUCKET, type Site } from '../site.ts'
import { workOffWell } from '../work-off.ts'
import { LARGE_BYTES, photoFile } from './files.ts'
import { FIELDS, hashOf, sha256Of } from './uploading.ts'
import { prepareLost } from './uploads.ts'

type Client = Pick<Running, 'given' | 'manifest'>

/** As docs/direct-upload.md says. A client that was cut off does the same again from the beginning. */
async function send(site: Site, { given, manifest }: Client): Promise<void> {
  const { db, placement, setup } = site
  const bytes = await readFile(given.path!)
  const sha256 = sha256Of(bytes)
  const announced = await announceUpload(
    { db, placement },
    setup.actor,
    {
      fileName: 'photo.jpg',
      size: bytes.length,
      sha256: hashOf('sha256', bytes),
      sha1: hashOf('sha1', bytes),
      md5: hashOf('md5', bytes),
      fields: FIELDS,
    },
    { mode: 'on', maxBytes: 1e9 },
  )
  if (announced.status === 'duplicate') {
    manifest.note({ what: 'asset', id: announced.id, sha256 })
    return
  }
  if (announced.state === 'open') {
    if (announced.put !== null) await put(announced.put, bytes)
    if (announced.parts !== null) {
      const { partBytes } = announced.parts
      const pieces = Array.from({ length: announced.parts.count }, (_, index) =>
        bytes.subarray(index * partBytes, (index + 1) * partBytes),
      )
      const missing = pieces
        .map((piece, index) => ({ number: index + 1, piece }))
        .filter(({ number }) => !announced.present.some((part) => part.number === number))
      if (missing.length > 0) {
        const wanted = missing.map(({ number, piece }) => ({
          number,
          size: piece.length,
          md5: hashOf('md5', piece).toString('hex'),
        }))
        const loaded = await loadUpload(db, setup.actor, announced.id)
        const { parts } = await signDirectParts(placement, loaded, wanted)
        for (const [index, part] of parts.entries()) await put(part, missing[index]!.piece)
      }
    }
  }
  const confirmed = await confirmUpload(
    { db, placement },
    setup.actor,
    await loadUpload(db, setup.actor, announced.id),
  )
  if (!['received', 'done', 'duplicate'].includes(confirmed.state))
    throw new Error(`the confirmation was answered with ${confirmed.state}: ${confirmed.reason}`)
  manifest.note({ what: 'direct-upload', id: announced.id, sha256 })
}

/** 412: it was put before, by the client that was cut off. */
async function put({ url, headers }: SignedRequest, bytes: Buffer): Promise<void> {
  const answer = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(bytes) })
  if (!answer.ok && answer.status !== 412) throw new Error(`the bucket answered ${answer.status}`)
  await answer.arrayBuffer()
}

function directUpload(name: string, bytes: number, putsOverwrite: boolean): Scenario {
  return {
    name,
    role: 'server',
    options: { putsOverwrite },
    prepare: async ({ site }) => ({ path: await photoFile(site.setup.folder, 'incoming.jpg', bytes) }),
    async run(site, running) {
      await send(site, running)
      await workOffWell(site, running.mediaTools, { names: ['prove-upload'] })
    },
    again: ({ site, manifest }, given) => send(site, { given, manifest }),
  }
}

/** The file is here, but its only copy is lost: what is put becomes the original. */
const ofLost: Scenario = {
  ...directUpload('direct-upload-of-lost', 0, false),
  isHealedByClient: true,
  prepare: (around) => prepareLost(around, BUCKET),
}

export const DIRECT_UPLOADS: Scenario[] = [
  directUpload('direct-upload', 0, false),
  directUpload('direct-upload-in-parts', LARGE_BYTES, true),
  ofLost,
]
