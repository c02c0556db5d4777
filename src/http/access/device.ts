import type { FastifyRequest } from 'fastify'
import { UAParser } from 'ua-parser-js'
import type { Device } from '../../library/credentials/sessions.ts'

/**
 * The client's device, for the list of sessions. Immich's apps name theirs (`deviceModel`, `deviceType`
 * headers, and `immich-android/3.2.2` as the user agent); browsers are recognised by their user agent. These
 * texts come from strangers, so they are cut to length.
 */
export function deviceOf(request: FastifyRequest): Device {
  const userAgent = request.headers['user-agent'] ?? ''
  const mobile = /^immich-(android|ios)\/([\w.+-]+)/i.exec(userAgent)
  const parsed = new UAParser(userAgent).getResult()
  const mobileOS = mobile && (mobile[1]?.toLowerCase() === 'ios' ? 'iOS' : 'Android')
  return {
    deviceType: short(
      headerOf(request, 'devicemodel') ?? headerOf(request, 'devicetype') ?? parsed.browser.name,
    ),
    deviceOS: short(mobileOS ?? headerOf(request, 'devicetype') ?? parsed.os.name),
    appVersion: mobile?.[2] ? short(mobile[2]) : null,
  }
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function short(text: string | undefined): string {
  return (text ?? '').slice(0, 100)
}
