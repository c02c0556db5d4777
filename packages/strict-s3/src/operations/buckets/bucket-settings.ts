/** What is set on a bucket: versioning, lifecycle, CORS. */

import type { CorsRule } from '../../objects/object-store.ts'
import { versioningOf } from '../../objects/versions.ts'
import { type BucketCall, emptyReply, type Reply, xmlReply } from '../../requests/call.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml, type XmlElements, type XmlNode } from '../../wire/xml.ts'
import { readXmlBody } from '../read-xml-body.ts'

export async function getBucketVersioning(call: BucketCall): Promise<Reply> {
  const versioning = versioningOf(call.bucket, call.profile)
  return xmlReply(
    writeXml('VersioningConfiguration', { Status: versioning === 'off' ? undefined : versioning }),
  )
}

export async function putBucketVersioning(call: BucketCall): Promise<Reply> {
  const status = (await readXmlBody(call, 'VersioningConfiguration')).textOf('Status')?.trim()
  if (status !== 'Enabled' && status !== 'Suspended')
    throw new S3Error('IllegalVersioningConfigurationException')
  if (status === 'Suspended' && call.bucket.objectLock != null) {
    throw new S3Error('InvalidBucketState', {
      message:
        'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
    })
  }
  await call.store.writeBucket({ ...call.bucket, versioning: status })
  return emptyReply(200)
}

function isLifecycleRule(rule: XmlNode): boolean {
  const status = rule.textOf('Status')?.trim()
  const isPositive = (text: string | undefined): boolean => /^[1-9]\d*$/.test(text?.trim() ?? '')
  const abort = rule.children('AbortIncompleteMultipartUpload')[0]
  const expiration = rule.children('Expiration')[0]
  if (abort && !isPositive(abort.textOf('DaysAfterInitiation'))) return false
  if (expiration) {
    const days = expiration.textOf('Days')
    const hasOther =
      expiration.textOf('Date') !== undefined || expiration.textOf('ExpiredObjectDeleteMarker') !== undefined
    if (days === undefined ? !hasOther : !isPositive(days)) return false
  }
  const actions = ['Transition', 'NoncurrentVersionExpiration', 'NoncurrentVersionTransition']
  const hasAction =
    abort !== undefined || expiration !== undefined || actions.some((name) => rule.children(name).length > 0)
  const hasScope = rule.children('Filter').length + rule.children('Prefix').length > 0
  return (status === 'Enabled' || status === 'Disabled') && hasAction && hasScope
}

/** The rules are kept as they were put and given back; nothing here runs them. */
const lifecycleShape: Record<string, string[]> = {
  Rule: [
    'ID',
    'Prefix',
    'Filter',
    'Status',
    'AbortIncompleteMultipartUpload',
    'Expiration',
    'NoncurrentVersionExpiration',
    'Transition',
    'NoncurrentVersionTransition',
  ],
  Filter: ['Prefix', 'ObjectSizeGreaterThan', 'ObjectSizeLessThan', 'And'],
  And: ['Prefix', 'ObjectSizeGreaterThan', 'ObjectSizeLessThan'],
  AbortIncompleteMultipartUpload: ['DaysAfterInitiation'],
  Expiration: ['Days', 'Date', 'ExpiredObjectDeleteMarker'],
  NoncurrentVersionExpiration: ['NoncurrentDays', 'NewerNoncurrentVersions'],
  Transition: ['Days', 'Date', 'StorageClass'],
  NoncurrentVersionTransition: ['NoncurrentDays', 'NewerNoncurrentVersions', 'StorageClass'],
}

function elementsOf(node: XmlNode, name: string): XmlElements {
  const elements: XmlElements = {}
  for (const child of lifecycleShape[name] ?? []) {
    const found = node.children(child)
    if (found.length === 0) continue
    elements[child] = found.map((one) => (lifecycleShape[child] ? elementsOf(one, child) : one.text.trim()))
  }
  return elements
}

export async function putBucketLifecycle(call: BucketCall): Promise<Reply> {
  const configuration = await readXmlBody(call, 'LifecycleConfiguration', { needsDigest: true })
  const rules = configuration.children('Rule')
  if (rules.length === 0 || rules.length > 1000 || !rules.every(isLifecycleRule))
    throw new S3Error('MalformedXML')
  const lifecycle = writeXml('LifecycleConfiguration', {
    Rule: rules.map((rule) => elementsOf(rule, 'Rule')),
  })
  await call.store.writeBucket({ ...call.bucket, lifecycle })
  return emptyReply(200)
}

export async function getBucketLifecycle(call: BucketCall): Promise<Reply> {
  if (call.bucket.lifecycle === null) throw new S3Error('NoSuchLifecycleConfiguration')
  return xmlReply(call.bucket.lifecycle)
}

export async function deleteBucketLifecycle(call: BucketCall): Promise<Reply> {
  await call.store.writeBucket({ ...call.bucket, lifecycle: null })
  return emptyReply(204)
}

const corsMethods = ['GET', 'PUT', 'HEAD', 'POST', 'DELETE']

export async function putBucketCors(call: BucketCall): Promise<Reply> {
  const configuration = await readXmlBody(call, 'CORSConfiguration', { needsDigest: true })
  const texts = (rule: XmlNode, name: string): string[] => rule.children(name).map((node) => node.text.trim())
  const rules = configuration.children('CORSRule').map((rule): CorsRule => {
    const maxAge = rule.textOf('MaxAgeSeconds')
    return {
      id: rule.textOf('ID')?.trim(),
      allowedOrigins: texts(rule, 'AllowedOrigin'),
      allowedMethods: texts(rule, 'AllowedMethod'),
      allowedHeaders: texts(rule, 'AllowedHeader'),
      exposeHeaders: texts(rule, 'ExposeHeader'),
      maxAgeSeconds: maxAge === undefined ? undefined : Number(maxAge),
    }
  })
  const stars = (text: string): number => text.split('*').length - 1
  for (const rule of rules) {
    const unknown = rule.allowedMethods.find((method) => !corsMethods.includes(method))
    if (unknown !== undefined) {
      throw new S3Error('InvalidRequest', {
        message: `Found unsupported HTTP method in CORS config. Unsupported method is ${unknown}`,
      })
    }
    if ([...rule.allowedOrigins, ...rule.allowedHeaders].some((text) => stars(text) > 1)) {
      throw new S3Error('InvalidRequest', {
        message: 'AllowedOrigin and AllowedHeader can not have more than one wildcard.',
      })
    }
    if (rule.exposeHeaders.some((text) => text.includes('*'))) {
      throw new S3Error('InvalidRequest', {
        message: 'ExposeHeader contains a wildcard. We currently do not support wildcard for ExposeHeader.',
      })
    }
  }
  const isIncomplete = rules.some(
    (rule) => rule.allowedOrigins.length === 0 || rule.allowedMethods.length === 0,
  )
  if (rules.length === 0 || rules.length > 100 || isIncomplete) throw new S3Error('MalformedXML')
  await call.store.writeBucket({ ...call.bucket, cors: rules })
  return emptyReply(200)
}

export async function getBucketCors(call: BucketCall): Promise<Reply> {
  if (call.bucket.cors === null) throw new S3Error('NoSuchCORSConfiguration')
  return xmlReply(
    writeXml('CORSConfiguration', {
      CORSRule: call.bucket.cors.map((rule) => ({
        ID: rule.id,
        AllowedOrigin: rule.allowedOrigins,
        AllowedMethod: rule.allowedMethods,
        AllowedHeader: rule.allowedHeaders,
        ExposeHeader: rule.exposeHeaders,
        MaxAgeSeconds: rule.maxAgeSeconds,
      })),
    }),
  )
}

export async function deleteBucketCors(call: BucketCall): Promise<Reply> {
  await call.store.writeBucket({ ...call.bucket, cors: null })
  return emptyReply(204)
}
