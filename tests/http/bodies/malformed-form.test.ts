import assert from 'node:assert/strict'
import { test } from 'node:test'
import multipart from '@fastify/multipart'
import fastify from 'fastify'
import { isMalformedForm } from '../../../src/http/bodies/malformed-form.ts'
import { toErrorResponse } from '../../../src/http/error-response.ts'
import { StorageError } from '../../../src/storage/backend.ts'

/** What the library throws while a body is read as a form. */
async function errorOf(contentType: string, body: string): Promise<unknown> {
  await using app = fastify()
  await app.register(multipart)
  app.addContentTypeParser('text/plain', (_request, _payload, done) => done(null))
  let thrown: unknown = null
  app.post('/', async (request) => {
    try {
      for await (const part of request.parts()) if (part.type === 'file') await part.toBuffer()
    } catch (error) {
      thrown = error
    }
  })
  await app.inject({ method: 'POST', url: '/', headers: { 'content-type': contentType }, payload: body })
  return thrown
}

const FORM = 'multipart/form-data; boundary=b'
const FILE = '--b\r\ncontent-disposition: form-data; name="f"; filename="f.jpg"\r\n\r\n'

test('what the library says of bodies that are no complete form is known', async () => {
  for (const [type, body] of [
    ['multipart/form-data', `${FILE}bytes\r\n--b--\r\n`],
    [FORM, 'no parts at all'],
    [FORM, FILE.slice(0, 30)],
    [FORM, `${FILE}half of a f`],
    ['text/plain', 'text'],
  ] as const) {
    const error = await errorOf(type, body)
    assert.ok(error instanceof Error, `${type}: ${body}`)
    assert.ok(isMalformedForm(error), error.message)
  }
  assert.equal(await errorOf(FORM, `${FILE}bytes\r\n--b--\r\n`), null)
})

test('an error of a bucket whose message speaks of multipart uploads is not the fault of who sent a form', () => {
  const error = new StorageError('denied', 'CompleteMultipartUpload of users/1 failed: 403 AccessDenied')
  assert.equal(isMalformedForm(error), false)
  assert.equal(toErrorResponse(error).status, 500)
})
