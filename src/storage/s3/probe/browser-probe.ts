import type { Log } from '../../../log.ts'
import type { ObjectKey } from '../../backend.ts'
import { isStorageError } from '../../backend.ts'
import type { BrowserProbe } from '../../probe-report.ts'
import { deleteS3 } from '../delete.ts'
import { openS3Bucket } from '../requests/bucket.ts'
import type { S3Settings } from '../requests/client.ts'
import { encryptionHeaders } from '../requests/encryption.ts'
import { NO_CORS_REMEDY, readCorsRules } from './checks/cors.ts'
import { corsRules } from './checks/paste.ts'
import { PROBE_FOLDER } from './checks/probing.ts'
import { EXPIRES_IN_S, signProbeGet, signProbePut } from './checks/signing.ts'

const CONTENT_TYPE = 'application/octet-stream'
const THROUGH_US = 'until then all of a browser’s uploads and downloads go through Glassine'

/**
 * Signs for the address that browsers use, works by the one that the server uses. Takes keys of the probe
 * only.
 */
export function openS3BrowserProbe(settings: S3Settings, log: Log): BrowserProbe {
  const bucket = openS3Bucket(settings, log)
  const { host } = new URL(settings.publicEndpoint ?? settings.endpoint ?? 'https://s3.amazonaws.com')

  return {
    async sign(key, bytes, { onlyIfAbsent }) {
      assertProbeKey(key)
      const put = await signProbePut(bucket.signPublicUrl, bucket.fullKey(key), {
        bytes,
        contentType: CONTENT_TYPE,
        onlyIfAbsent,
        encryption: encryptionHeaders(settings.encryption),
      })
      // A browser sets the length by itself and lets nobody else do it.
      delete put.headers['content-length']
      const url = await signProbeGet(bucket.signPublicUrl, bucket.fullKey(key), {
        contentType: CONTENT_TYPE,
        fileName: 'probe.bin',
      })
      return { put, get: { url }, expiresInSeconds: EXPIRES_IN_S }
    },

    async read(key) {
      assertProbeKey(key)
      try {
        return await bucket.call(`GetObject of ${key}`, undefined, async (options) => {
          const { body } = await bucket.direct('GET', bucket.fullKey(key), {}, options)
          return Buffer.concat(await body.toArray())
        })
      } catch (error) {
        if (isStorageError(error, 'not-found')) return null
        throw error
      }
    },

    async remove(key) {
      assertProbeKey(key)
      await deleteS3(bucket, [key as ObjectKey], undefined)
    },

    async explain(origin, why) {
      switch (why) {
        case 'cors':
        case 'incomplete': {
          if (!bucket.provider.hasCors) return { remedy: NO_CORS_REMEDY }
          const paste = corsRules(bucket, [origin], await readCorsRules(bucket))
          return { remedy: `add the CORS rule below to the bucket; ${THROUGH_US}`, paste }
        }
        case 'policy':
          return { remedy: 'reload the page: it was made before the bucket was configured' }
        case 'mixed':
          return { remedy: `serve ${host} over HTTPS, as the page is; ${THROUGH_US}` }
        case 'unreachable':
          return { remedy: `make ${host} reachable for browsers, not for this server alone; ${THROUGH_US}` }
        case 'refused':
          return {
            remedy: `probe the bucket from the server: what it refuses there names the reason; ${THROUGH_US}`,
          }
      }
    },

    close() {
      bucket.client.destroy()
    },
  }
}

function assertProbeKey(key: string): void {
  if (!/^browser-[0-9a-f]{32}$/.test(key.slice(PROBE_FOLDER.length)) || !key.startsWith(PROBE_FOLDER)) {
    throw new TypeError(`${JSON.stringify(key.slice(0, 100))} is not a key of the probe`)
  }
}
