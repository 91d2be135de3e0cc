// Beside each file of the build its .br and .gz, so that the gateway never compresses while it serves.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const folder = new URL('../../infra/webui/', import.meta.url).pathname;
const worthwhile = /\.(js|css|html|svg|json)$/;

for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
  const path = join(folder, name);
  if (!worthwhile.test(name) || !statSync(path).isFile()) continue;
  const plain = readFileSync(path);
  if (plain.length < 512) continue;
  writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
  const quality = {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
  };
  writeFileSync(`${path}.br`, brotliCompressSync(plain, quality));
}
