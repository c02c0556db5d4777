import type { ProbingPage } from './browser-probe.ts'

/** This page, in this browser. */
export function thisPage(): ProbingPage {
  return {
    protocol: location.protocol,
    fetch: (input, init) => fetch(input, init),
    watchPolicy(origin) {
      let refused = false
      const listen = (event: SecurityPolicyViolationEvent) => {
        if (event.blockedURI.startsWith(origin)) refused = true
      }
      document.addEventListener('securitypolicyviolation', listen)
      return {
        hasRefused: () => refused,
        stop: () => document.removeEventListener('securitypolicyviolation', listen),
      }
    },
  }
}
