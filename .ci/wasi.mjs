// Runs a WASI program, for go test -exec: node wasi.mjs PROGRAM ARGUMENT…
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const args = process.argv.slice(2);
// Node.js 20 may crash where the program's exit unwinds its stack: end with it.
const wasi = new WASI({ version: 'preview1', args, env: process.env, preopens: { '/': '/' }, returnOnExit: false });
const { instance } = await WebAssembly.instantiate(await readFile(args[0]), wasi.getImportObject());
wasi.start(instance);
