import { z } from 'zod'
import { DEFAULT_KEEP } from '../placement/backup-settings.ts'
import { forEachKindKey } from '../placement/object-kinds.ts'
import { ORDINARY_CLASS, STORAGE_CLASSES } from '../placement/storage-classes.ts'
import { parseSize } from './size.ts'

/*
 * The configuration file. Every key has a row in docs/configuration.md; tests/config compares the two both
 * ways. The `error` of each field says what would be right, and nothing about the value, which might be a
 * secret.
 */

/** A number of bytes, or text such as `20 GiB`. */
function bytes(options: { min: number }) {
  const right = `write a number of bytes or a size such as 20 GiB, at least ${options.min}`
  return z.union([z.number(), z.string()], { error: right }).transform((value, context) => {
    const size = parseSize(String(value))
    if (size === null || size < options.min) {
      context.addIssue({ code: 'custom', message: right })
      return z.NEVER
    }
    return size
  })
}

/** A number; text of digits too, since values from the environment are text. */
function number(options: { min: number; max: number; unit?: string; whole?: boolean }) {
  const whole = options.whole ?? true
  const right =
    `write a ${whole ? 'whole number' : 'number'}${options.unit ? ` of ${options.unit}` : ''} ` +
    `from ${options.min} to ${options.max}`
  return z.preprocess(
    (value) => (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value),
    (whole ? z.int({ error: right }) : z.number({ error: right }))
      .min(options.min, { error: right })
      .max(options.max, { error: right }),
  )
}

/** true or false; as text too. */
function flag() {
  return z.preprocess(
    (value) => (value === 'true' ? true : value === 'false' ? false : value),
    z.boolean({ error: 'write true or false' }),
  )
}

function oneOf<const Values extends [string, ...string[]]>(...values: Values) {
  return z.enum(values, { error: `write ${values.join(' or ')}` })
}

function text(right: string, pattern?: RegExp) {
  const base = z.string({ error: right }).min(1, { error: right })
  return pattern === undefined ? base : base.regex(pattern, { error: right })
}

function url(right: string, protocols: RegExp) {
  return z
    .string({ error: right })
    .refine((value) => URL.canParse(value) && protocols.test(new URL(value).protocol), {
      error: right,
    })
}

const LOCATIONS_RIGHT =
  'write local, s3, a name of storage.buckets or storage.folders, or a list of such names'
const locationName = () => text(LOCATIONS_RIGHT)
/** One location or several: where the files of a kind belong. */
const locationNames = () =>
  z
    .union([locationName(), z.array(locationName()).min(1)], { error: LOCATIONS_RIGHT })
    .transform((value) => [...new Set([value].flat())])

/**
 * By names of the operator's, which are ids in the ledger. A number at the end is for the buckets of copies
 * of an installation.
 */
const named = <Value extends z.ZodType>(value: Value) =>
  z
    .record(
      text(NAME_RIGHT)
        .regex(/^[a-z](-?[a-z0-9]){0,31}$/, { error: NAME_RIGHT })
        .refine((name) => !RESERVED_NAMES.includes(name) && !/-\d+$/.test(name), { error: NAME_RIGHT }),
      value,
      { error: 'write a name of yours for each, and its keys below it' },
    )
    .default({})
const RESERVED_NAMES = ['local', 's3', 'demonstration']
const NAME_RIGHT = `use lower-case letters, digits and "-", no number after a "-", and none of ${RESERVED_NAMES.join(', ')}`
const strategy = () => oneOf('local-first', 's3-first')

const className = () => oneOf(...(STORAGE_CLASSES.map(({ name }) => name) as [string, ...string[]]))

/** The storage class of fresh files of a kind, and those for older ones. */
const classes = () =>
  z
    .strictObject({
      class: className().default(ORDINARY_CLASS),
      rules: z
        .array(
          z.strictObject({
            olderThanDays: number({ min: 1, max: 36_500, unit: 'days' }),
            class: className(),
          }),
          { error: 'write a list of { olderThanDays, class }' },
        )
        .default([]),
    })
    .nullable()
    .default(null)

const ADDRESS_RIGHT = 'write an e-mail address, such as anna@example.org'

/** Of SSE-C: 32 bytes in base64, or the path of a file with them. */
const KEY_OF_OURS = {
  key: text('write 32 bytes in base64, best from the environment').nullable().default(null),
  keyFile: text('write the path of the file that holds the key').nullable().default(null),
}

const S3_KEYS = {
  endpoint: url('write the URL of the S3 service, such as https://s3.example.org', /^https?:$/)
    .nullable()
    .default(null),
  publicEndpoint: url('write the URL under which browsers reach the S3 service', /^https?:$/)
    .nullable()
    .default(null),
  bucket: text(
    'write the name of the bucket: 3 to 63 lower-case letters, digits, dots and hyphens',
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
  ),
  region: text('write the region, such as us-east-1 (or auto where the service knows only one)').default(
    'us-east-1',
  ),
  accessKeyId: text('write the key id, best from the environment, or leave it out').nullable().default(null),
  secretAccessKey: text('write the key, best from the environment, or leave it out').nullable().default(null),
  prefix: z
    .string({ error: 'write text that ends with /, or nothing' })
    .regex(/^([A-Za-z0-9_.-]+\/)*$/, {
      error: 'write folders of ASCII letters, digits, "_", "." and "-", ending with /, such as photos/',
    })
    .default(''),
  forcePathStyle: flag().nullable().default(null),
  provider: text('write the name of a provider of docs/providers.md, or auto', /^[a-z0-9-]+$/).default(
    'auto',
  ),
  maxConnections: number({ min: 1, max: 1_000 }).default(50),
  requestTimeoutMs: number({ min: 1_000, max: 3_600_000, unit: 'milliseconds' }).default(60_000),
  connectTimeoutMs: number({ min: 100, max: 600_000, unit: 'milliseconds' }).default(5_000),
  objectLock: z
    .strictObject({
      mode: oneOf('governance', 'compliance'),
      retentionDays: z.strictObject(
        forEachKindKey(() => number({ min: 1, max: 36_500, unit: 'days' }).nullable().default(null)),
        { error: 'write for which files and how many days, such as { originals: 30 }' },
      ),
    })
    .nullable()
    .default(null),
  encryption: z
    .strictObject({
      type: oneOf('sse-s3', 'sse-kms', 'sse-c'),
      keyId: text('write the id, the ARN or the alias of the key, or leave it out').nullable().default(null),
      bucketKey: flag().nullable().default(null),
      context: z
        .record(text('write a name'), text('write text'), {
          error: 'write names and texts, such as { of: photos }',
        })
        .nullable()
        .default(null),
      ...KEY_OF_OURS,
      previousKeys: z
        .array(z.strictObject(KEY_OF_OURS), {
          error: 'write a list of { key } or { keyFile }, as of the key of today',
        })
        .max(20, { error: 'write at most 20 keys' })
        .default([]),
    })
    .nullable()
    .default(null),
}

/** Of a location: read, and never written to. */
const READ_ONLY = { readOnly: flag().default(false) }

const SCRUB = {
  scrub: z
    .strictObject({
      bytes: bytes({ min: 0 }).nullable().default(null),
      money: number({ min: 0.01, max: 1_000_000, whole: false }).nullable().default(null),
    })
    .nullable()
    .default(null),
}

const way = () => oneOf('proxy', 'redirect', 'cdn').default('proxy')

const CDN_KEYS = {
  type: oneOf('cloudfront', 'hmac'),
  baseUrl: url('write the URL of the network, such as https://cdn.example.org', /^https?:$/),
  keyPairId: text('write the id of the public key', /^[A-Za-z0-9_-]+$/)
    .nullable()
    .default(null),
  // In the environment, a key often has its lines joined by the characters `\n`.
  privateKey: text('write the RSA private key in PEM, from the environment')
    .transform((pem) => pem.replaceAll('\\n', '\n'))
    .nullable()
    .default(null),
  policy: oneOf('canned', 'custom').nullable().default(null),
  cookieDomain: text('write a domain such as example.org', /^[a-z0-9-]+(\.[a-z0-9-]+)+$/)
    .nullable()
    .default(null),
  secret: text('write the secret, best from the environment').nullable().default(null),
}

export const FILE_SCHEMA = z.strictObject({
  server: z
    .strictObject({
      host: text('write the address to listen on, such as 0.0.0.0 or 127.0.0.1').default('0.0.0.0'),
      port: number({ min: 0, max: 65_535 }).default(2283),
      publicUrl: url(
        'write the URL under which browsers reach Glassine, such as https://photos.example.org',
        /^https?:$/,
      )
        .nullable()
        .default(null),
      trustedProxies: z
        .array(text('write an IP address or a range such as 10.0.0.0/8'), {
          error: 'write a list of addresses',
        })
        .default([]),
    })
    .prefault({}),
  logLevel: oneOf('debug', 'info', 'warn', 'error').default('info'),
  database: z
    .strictObject({
      url: url('write postgres://user:password@host:5432/database', /^postgres(ql)?:$/)
        .nullable()
        .default(null),
      maxConnections: number({ min: 4, max: 1_000 }).default(20),
    })
    .prefault({}),
  storage: z
    .strictObject({
      default: locationNames().prefault('s3'),
      local: z
        .strictObject({ mediaLocation: text('write the path of a folder').nullable().default(null) })
        .prefault({}),
      s3: z
        .strictObject({ ...S3_KEYS, ...READ_ONLY, ...SCRUB })
        .nullable()
        .default(null),
      buckets: named(
        z.strictObject({
          ...S3_KEYS,
          ...READ_ONLY,
          ...SCRUB,
          // Null: `storage.classes`.
          classes: z.strictObject(forEachKindKey(classes)).nullable().default(null),
        }),
      ),
      folders: named(
        z.strictObject({
          path: text('write the path of a folder that exists'),
          onAnotherMachine: flag().default(false),
          ...READ_ONLY,
        }),
      ),
      locations: z
        .strictObject({
          ...forEachKindKey(() => locationNames().prefault('local')),
          // Null: `storage.default`.
          originals: locationNames().nullable().default(null),
          // Null: where originals belong.
          databaseBackups: locationNames().nullable().default(null),
          // Null: where originals belong.
          catalogue: locationNames().nullable().default(null),
        })
        .prefault({}),
      // Null: every location of the kind.
      minCopies: z
        .strictObject(forEachKindKey(() => number({ min: 1, max: 32 }).nullable().default(null)))
        .prefault({}),
      upload: z
        .strictObject({
          strategy: strategy().default('local-first'),
          direct: oneOf('auto', 'on', 'off').default('auto'),
          deleteLocalAfterUpload: flag().default(true),
          holdHours: number({ min: 0, max: 87_600, unit: 'hours', whole: false }).default(0),
          retryAttempts: number({ min: 0, max: 20 }).default(3),
          retryDelayMs: number({ min: 0, max: 3_600_000, unit: 'milliseconds' }).default(1_000),
          writeLeaseSeconds: number({ min: 5, max: 3_600, unit: 'seconds' }).default(40),
        })
        .prefault({}),
      removal: z
        .strictObject({
          waitSeconds: number({ min: 0, max: 86_400, unit: 'seconds' }).default(120),
          lateRequestMinutes: number({ min: 0, max: 10_080, unit: 'minutes' }).default(60),
        })
        .prefault({}),
      rollout: z
        .strictObject({
          strategy: strategy(),
          percent: number({ min: 0, max: 100, whole: false }).default(0),
          users: z
            .array(text('write e-mail addresses of users', /@/), {
              error: 'write a list of e-mail addresses',
            })
            .default([]),
        })
        .nullable()
        .default(null),
      outage: z
        .strictObject({
          answerWithinMs: number({ min: 500, max: 600_000, unit: 'milliseconds' }).default(10_000),
          failures: number({ min: 1, max: 1_000 }).default(5),
          coolDownMs: number({ min: 500, max: 600_000, unit: 'milliseconds' }).default(10_000),
        })
        .prefault({}),
      classes: z.strictObject(forEachKindKey(classes)).prefault({}),
      catalogue: z
        .strictObject({
          enabled: flag().default(true),
          everyMinutes: number({ min: 1, max: 24 * 60, unit: 'minutes' }).default(5),
        })
        .prefault({}),
      listing: z
        .strictObject({
          everyHours: number({ min: 1, max: 24 * 31, unit: 'hours', whole: false }).default(24),
        })
        .prefault({}),
      campaigns: z.boolean('write true or false').default(false),
      collect: z
        .strictObject({
          olderThanDays: number({ min: 7, max: 3_650, unit: 'days' }).default(30),
          holdDays: number({ min: 1, max: 365, unit: 'days' }).default(7),
        })
        .prefault({}),
      scrub: z
        .strictObject({
          diskBytes: bytes({ min: 0 }).default(2 ** 40),
          bucketBytes: bytes({ min: 0 }).default(10 * 2 ** 30),
        })
        .prefault({}),
      pricesFile: text('write the path of a JSON file').nullable().default(null),
      recall: z.strictObject({ maxBytes: bytes({ min: 2 ** 20 }).default(20 * 2 ** 30) }).prefault({}),
      delivery: z
        .strictObject({
          originals: way(),
          previews: way(),
          encodedVideos: way(),
          immichClients: oneOf('proxy', 'same').default('proxy'),
          // Twice as long at most, and a presigned URL holds for a week at most.
          signedForMinutes: number({ min: 1, max: 5_040, unit: 'minutes' }).default(60),
        })
        .prefault({}),
      cdn: z.strictObject(CDN_KEYS).nullable().default(null),
      cache: z.strictObject({ maxBytes: bytes({ min: 0 }).default(0) }).prefault({}),
    })
    .prefault({}),
  backups: z
    .strictObject({
      everyHours: number({ min: 0, max: 24 * 31, unit: 'hours', whole: false }).default(24),
      keep: z
        .strictObject({
          daily: number({ min: 0, max: 1_000 }).default(DEFAULT_KEEP.daily),
          weekly: number({ min: 0, max: 1_000 }).default(DEFAULT_KEEP.weekly),
          monthly: number({ min: 0, max: 1_000 }).default(DEFAULT_KEEP.monthly),
        })
        .prefault({}),
    })
    .prefault({}),
  notifications: z
    .strictObject({
      afterHours: number({ min: 1, max: 24 * 31, unit: 'hours', whole: false }).default(24),
      backupAfterDays: number({ min: 1, max: 365, unit: 'days', whole: false }).default(3),
      email: z
        .strictObject({
          host: text('write the name of the SMTP server', /^[^\s/@]+$/),
          port: number({ min: 1, max: 65_535 }).default(587),
          encryption: oneOf('starttls', 'tls', 'none').default('starttls'),
          user: text('write the user name, or leave it out').nullable().default(null),
          password: text('write the password, best from the environment').nullable().default(null),
          from: text(
            'write the address of the sender, such as Glassine <photos@example.org>',
            /^[^\r\n]*@[^\r\n]*$/,
          ),
          to: z
            .array(text(ADDRESS_RIGHT, /^[^\s<>,]+@[^\s<>,]+$/), {
              error: 'write a list of e-mail addresses',
            })
            .max(20, { error: 'write at most 20 addresses' })
            .default([]),
        })
        .nullable()
        .default(null),
      webhook: z
        .strictObject({
          url: url('write the URL that gets the messages, such as https://example.org/hook', /^https?:$/),
          secret: text('write the secret, best from the environment'),
        })
        .nullable()
        .default(null),
    })
    .prefault({}),
  sessions: z
    .strictObject({
      idleDays: number({ min: 1, max: 3_650, unit: 'days' }).default(90),
      maxDays: number({ min: 1, max: 3_650, unit: 'days' }).default(400),
    })
    .prefault({}),
  uploads: z.strictObject({ maxBytes: bytes({ min: 1 }).default(2 ** 40) }).prefault({}),
  reading: z
    .strictObject({
      dailyBytes: bytes({ min: 0 }).default(2 ** 30),
      archivedDailyBytes: bytes({ min: 0 }).default(0),
    })
    .prefault({}),
  jobs: z
    .strictObject({
      processingConcurrency: number({ min: 1, max: 256 }).nullable().default(null),
      storageConcurrency: number({ min: 1, max: 256 }).default(8),
      videoConcurrency: number({ min: 1, max: 64 }).default(1),
    })
    .prefault({}),
  media: z
    .strictObject({
      thumbnailPx: number({ min: 64, max: 1_000, unit: 'pixels' }).default(250),
      previewPx: number({ min: 720, max: 8_192, unit: 'pixels' }).default(1_440),
      colorspace: z.enum(['p3', 'srgb']).default('p3'),
      memory: bytes({ min: 256 * 2 ** 20 })
        .nullable()
        .default(null),
    })
    .prefault({}),
})
export type ConfigFile = z.output<typeof FILE_SCHEMA>

/** The keys of the file, dotted, without those that only hold others: what the documentation lists. */
export function configKeys(): string[] {
  return leaves(FILE_SCHEMA, [])
}

/** The keys an object of the file may have; null where the path leads to no object. */
export function keysAt(path: readonly PropertyKey[]): string[] | null {
  let schema: z.core.$ZodType = FILE_SCHEMA
  for (const key of path) {
    const next = valueOfRecord(schema) ?? shapeOf(schema)?.[String(key)]
    if (next === undefined) return null
    schema = next
  }
  const shape = shapeOf(schema)
  return shape === null ? null : Object.keys(shape)
}

function leaves(schema: z.core.$ZodType, path: string[]): string[] {
  const shape = shapeOf(schema)
  if (shape === null) return [path.join('.')]
  return Object.entries(shape).flatMap(([key, inner]) => leaves(inner, [...path, key]))
}

/** What stands under each name of the operator's. */
function valueOfRecord(schema: z.core.$ZodType): z.core.$ZodType | null {
  if (schema instanceof z.ZodDefault) return valueOfRecord(schema.def.innerType)
  return schema instanceof z.ZodRecord ? schema.def.valueType : null
}

/** The shape of an object below defaults and nulls. */
function shapeOf(schema: z.core.$ZodType): Record<string, z.core.$ZodType> | null {
  if (schema instanceof z.ZodObject) return schema.shape
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodNullable) {
    return shapeOf(schema.def.innerType)
  }
  return null
}
