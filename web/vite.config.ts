import adapter from '@sveltejs/adapter-static'
import { sveltekit } from '@sveltejs/kit/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [
    sveltekit({
      // Every route is drawn in the browser: the server answers any address outside /api with this one page.
      adapter: adapter({ pages: 'build', fallback: 'index.html' }),
      compilerOptions: { runes: true },
      // Absolute, because the fallback page is served at every depth.
      paths: { relative: false },
    }),
  ],
  worker: { format: 'es' },
  // The first versions with light-dark(): below them it would be rewritten so that the viewer could not be
  // dark by itself.
  build: { target: ['chrome123', 'firefox120', 'safari17.5'] },
  // Only for `npm run dev`: the page from Vite, the API from a server that already runs.
  server: {
    // The names of the queues are the server's.
    fs: { allow: ['../src/queue'] },
    proxy: { '/api': { target: process.env.GLASSINE_API ?? 'http://127.0.0.1:2283', ws: true } },
  },
})
