/** A client of the HTTP API as tests need it: signs up or in, uploads, reads. Imports nothing from `src/`. */
import { createHash } from 'node:crypto'

export type Client = {
  url: string
  token: string
  /** `fetch` with the session's token; a path below `/api`. */
  call(path: string, init?: RequestInit): Promise<Response>
  json<T>(path: string, init?: RequestInit): Promise<T>
  upload(
    bytes: Buffer,
    fileName: string,
    signal?: AbortSignal,
  ): Promise<{ id: string; status: 'created' | 'duplicate' }>
  sha256OfOriginal(assetId: string): Promise<string>
}

export const ADMIN = { email: 'admin@example.org', password: 'a long password', name: 'Admin' }

/**
 * Signs the first user up where there is none, then logs in, as the administrator if nobody else is named.
 */
export async function connectClient(
  url: string,
  who: { email: string; password: string } = ADMIN,
): Promise<Client> {
  const headers = { 'content-type': 'application/json' }
  const config = (await (await fetch(`${url}/api/server/config`)).json()) as { isInitialized: boolean }
  if (!config.isInitialized) {
    const made = await fetch(`${url}/api/auth/admin-sign-up`, {
      method: 'POST',
      headers,
      body: JSON.stringify(ADMIN),
    })
    if (made.status !== 201) throw new Error(`sign-up answered ${made.status}: ${await made.text()}`)
  }
  const login = await fetch(`${url}/api/auth/login`, { method: 'POST', headers, body: JSON.stringify(who) })
  if (login.status !== 201) throw new Error(`login answered ${login.status}: ${await login.text()}`)
  const { accessToken: token } = (await login.json()) as { accessToken: string }

  const call = (path: string, init: RequestInit = {}) =>
    fetch(`${url}/api${path}`, { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers } })

  const json = async <T>(path: string, init?: RequestInit): Promise<T> => {
    const response = await call(path, init)
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as T
  }

  return {
    url,
    token,
    call,
    json,
    async upload(bytes, fileName, signal) {
      const form = new FormData()
      const now = new Date().toISOString()
      form.set('fileCreatedAt', now)
      form.set('fileModifiedAt', now)
      form.set('assetData', new Blob([new Uint8Array(bytes)]), fileName)
      return json('/assets', { method: 'POST', body: form, ...(signal ? { signal } : {}) })
    },
    async sha256OfOriginal(assetId) {
      const response = await call(`/assets/${assetId}/original`)
      if (!response.ok)
        throw new Error(`original of ${assetId} answered ${response.status}: ${await response.text()}`)
      const hash = createHash('sha256')
      for await (const chunk of response.body!) hash.update(chunk)
      return hash.digest('hex')
    },
  }
}
