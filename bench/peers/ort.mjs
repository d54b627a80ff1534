// Times ONNX Runtime on a model. The one argument is a JSON object:
//
//   model    path of the ONNX file
//   threads  of an operator
//   modules  folder that has onnxruntime-node in its node_modules
//   inputs   list of {name, type, shape}, and maybe the file of the elements
//   outputs  names of those to compute; all where there are none
//   session  further settings of the session
//
// It answers "ready VERSION", then each line on standard input:
//
//   run         runs one inference: the milliseconds it took
//   turn N      runs back to back for N milliseconds, at least twice: the median
//               of the second half
//   write PATH  runs and writes the first output to a file: "ok"
//
// Any answer may be "error MESSAGE" instead.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve, join } from 'node:path';
import { createInterface } from 'node:readline';
import { performance } from 'node:perf_hooks';

const arrays = {
  float32: Float32Array, float64: Float64Array,
  int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array,
};

// say writes an answer, which is one line.
const say = (line) => process.stdout.write(line.replaceAll('\n', ' ') + '\n');

// feed makes an input of a file, else of reals that look standard normal and
// integers 0 and 1: they need not be those of the other contenders, as time
// does not depend on them.
function feed(ort, { name, type, shape, file }) {
  if (!arrays[type]) throw new Error(`input ${name} of type ${type}`);
  if (file) return new ort.Tensor(type, new arrays[type](new Uint8Array(readFileSync(file)).buffer), shape);
  const data = new arrays[type](shape.reduce((a, b) => a * b, 1));
  let seed = 1;
  const uniform = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let i = 0; i < data.length; i++) {
    if (type.startsWith('float')) data[i] = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    else data[i] = type === 'int64' ? BigInt(Math.round(uniform())) : Math.round(uniform());
  }
  return new ort.Tensor(type, data, shape);
}

async function main() {
  const o = JSON.parse(process.argv[process.argv.length - 1]);
  const require = createRequire(join(resolve(o.modules), 'index.js'));
  let ort, version;
  try {
    ort = require('onnxruntime-node');
    version = require('onnxruntime-node/package.json').version;
  } catch (e) {
    if (e.code !== 'MODULE_NOT_FOUND') throw e;
    throw new Error(`onnxruntime-node is not installed in ${resolve(o.modules)}: run "npm install --ignore-scripts onnxruntime-node" there`);
  }
  const session = await ort.InferenceSession.create(o.model, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    intraOpNumThreads: o.threads,
    interOpNumThreads: 1,
    extra: { session: o.session },
  });
  const feeds = Object.fromEntries(o.inputs.map((i) => [i.name, feed(ort, i)]));
  const run = async () => {
    const start = performance.now();
    await session.run(feeds, o.outputs.length ? o.outputs : session.outputNames);
    return performance.now() - start;
  };
  const turn = async (ms) => {
    const times = [];
    for (const start = performance.now(); times.length < 2 || performance.now() - start < ms; ) times.push(await run());
    const half = times.slice(Math.floor(times.length / 2)).sort((a, b) => a - b);
    return half[Math.floor((half.length - 1) / 2)];
  };
  await run();
  say(`ready ${version}`);
  for await (const line of createInterface({ input: process.stdin })) {
    const argument = line.slice(line.indexOf(' ') + 1);
    if (line === 'run') say(String(await run()));
    else if (line.startsWith('turn ')) say(String(await turn(Number(argument))));
    else if (line.startsWith('write ')) {
      writeFileSync(argument, (await session.run(feeds))[session.outputNames[0]].data);
      say('ok');
    } else throw new Error(`asked to ${line}`);
  }
}

main().catch((e) => {
  say(`error ${e.message}`);
  process.exitCode = 1;
});
