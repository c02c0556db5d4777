/**
 * Loaded before each test file (`--import`). Node's runner notes for every promise in the process to which
 * test it belongs, so that an uncaught error fails that test: 10 % of the processor's time of a file with
 * many requests. Here it does so for other resources only (timers, sockets, callbacks). An uncaught error in
 * a promise is told without the test's name, and fails the file all the same.
 */
import asyncHooks from 'node:async_hooks'

const { createHook } = asyncHooks
asyncHooks.createHook = (options) => createHook({ ...options, trackPromises: false })
