import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// A hub to develop against: HUB=http://localhost:8080 npm run dev
const hub = process.env.HUB ?? 'http://localhost:8080';

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: '../infra/webui',
    emptyOutDir: true,
    manifest: true,
    target: 'es2022',
    // The policy of the hub allows no data: scripts or fonts, and small files do not matter on a local network.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/api': { target: hub, ws: true, changeOrigin: true, configure: sameOrigin },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});

/** The hub refuses changes and sockets of pages of another origin; the dev server is one. */
function sameOrigin(proxy: {
  on(event: string, then: (request: { setHeader(n: string, v: string): void }) => void): void;
}) {
  for (const event of ['proxyReq', 'proxyReqWs']) proxy.on(event, (request) => request.setHeader('origin', hub));
}
