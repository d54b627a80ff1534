// Times ONNX Runtime on a model. The one argument is a JSON object:
//
//   model    path of the ONNX file
//   threads  of an operator
//   modules  folder that has onnxruntime-node in its node_modules
//   inputs   list of {name, type, shape}
//
// It answers "ready VERSION", then for every line on standard input runs one
// inference and answers the milliseconds it took. Any answer may be
// "error MESSAGE" instead.
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

// feed makes an input: reals that look standard normal, integers 0 and 1. The
// values need not be those of the other contenders, as time does not depend
// on them.
function feed(ort, { name, type, shape }) {
  if (!arrays[type]) throw new Error(`input ${name} of type ${type}`);
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
    // Its workers must not spin through the turns of the other contenders.
    extra: { session: { force_spinning_stop: '1' } },
  });
  const feeds = Object.fromEntries(o.inputs.map((i) => [i.name, feed(ort, i)]));
  say(`ready ${version}`);
  for await (const _ of createInterface({ input: process.stdin })) {
    const start = performance.now();
    await session.run(feeds);
    say(String(performance.now() - start));
  }
}

main().catch((e) => {
  say(`error ${e.message}`);
  process.exitCode = 1;
});
