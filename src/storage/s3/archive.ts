import { RestoreObjectCommand, type Tier } from '@aws-sdk/client-s3'
import { type Archive, isStorageError, type RestoreTier } from '../backend.ts'
import { assertObjectKey } from '../object-key.ts'
import type { S3Bucket } from './requests/bucket.ts'
import { errorCode } from './requests/errors.ts'

const TIERS: Record<RestoreTier, Tier> = { expedited: 'Expedited', standard: 'Standard', bulk: 'Bulk' }

/** RestoreObject. Whether the copy is there is for HEAD to say (`x-amz-restore`). */
export function archiveS3(bucket: S3Bucket): Archive {
  return {
    async restore(key, { tier, days }) {
      assertObjectKey(key)
      const command = new RestoreObjectCommand({
        Bucket: bucket.settings.bucket,
        Key: bucket.fullKey(key),
        RestoreRequest: { Days: days, GlacierJobParameters: { Tier: TIERS[tier] } },
      })
      try {
        const answer = await bucket.call(`RestoreObject of ${key}`, undefined, (options) =>
          bucket.client.send(command, options),
        )
        return answer.$metadata.httpStatusCode === 200 ? 'available' : 'begun'
      } catch (error) {
        // A 409, which elsewhere means that trying again helps.
        if (isStorageError(error) && errorCode(error.cause) === 'RestoreAlreadyInProgress') return 'ongoing'
        throw error
      }
    },
  }
}
