'use strict';
// Sampling as `folio sample` does it: core/random.h, core/devices/token_weights.h,
// core/cpu/sampling.cc and sample/past_block.h, so that equal logits give equal tokens.

// a * b of 32 bits each -> [high, low].
function wideProduct(a, b) {
  const product = BigInt(a >>> 0) * BigInt(b >>> 0);
  return [Number(product >> 32n), Number(product & 0xffffffffn)];
}

// Philox4x32-10: block `number` of stream `stream`; seed is a BigInt.
function philoxBlock(seed, stream, number) {
  let counter =
      [number >>> 0, Math.floor(number / 2 ** 32), stream >>> 0, Math.floor(stream / 2 ** 32)];
  let k0 = Number(seed & 0xffffffffn), k1 = Number(seed >> 32n & 0xffffffffn);
  for (let round = 0; round < 10; ++round) {
    const [high0, low0] = wideProduct(0xD2511F53, counter[0]);
    const [high1, low1] = wideProduct(0xCD9E8D57, counter[2]);
    counter = [(high1 ^ counter[1] ^ k0) >>> 0, low1, (high0 ^ counter[3] ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9E3779B9) >>> 0;
    k1 = (k1 + 0xBB67AE85) >>> 0;
  }
  return counter;
}

const TOP_WEIGHT = 1n << 40n;  // of the likeliest token

// A token's weight as an integer: its share of the likeliest one's probability times 2^40. `scale`
// is 1 / temperature in units of 2^-26 octaves, in f32 as all of these are.
function tokenWeight(logit, best, scale) {
  const f = Math.fround;
  const distance = f(f(f(best * 0.5) - f(logit * 0.5)) * scale);
  const steps = distance < 2 ** 32 ? BigInt(Math.floor(distance)) : 0xffffffffn;
  const fraction = steps << 6n & 0xffffffffn;
  let q = 469656n;
  for (const constant of [5479739n, 41148157n, 238334300n, 1031756616n, 2977044038n])
    q = constant - (fraction * q >> 32n);
  return TOP_WEIGHT - (fraction * q >> 24n) >> (steps >> 26n);
}

function distanceScale(temperature) {
  return Math.fround(Math.min(2 ** 27 * Math.LOG2E / temperature, 2 ** 100));
}

const ceilingOf = (x) => BigInt(Math.ceil(x));
const leastOf = (a, b) => a < b ? a : b;

// The tokens that may be drawn, by id: [{id, logit, weight}].
function candidatesOf(logits, {temperature, topK, topP}) {
  let all = Array.from(logits, (logit, id) => ({id, logit}));
  const likelier = (a, b) => b.logit - a.logit || a.id - b.id;
  const best = [...all].sort(likelier)[0].logit;
  if (topK > 0 && topK < all.length)
    all = all.sort(likelier).slice(0, topK).sort((a, b) => a.id - b.id);
  const scale = distanceScale(temperature);
  for (const candidate of all) candidate.weight = tokenWeight(candidate.logit, best, scale);
  if (topP < 1) all = withTopP(all.sort(likelier), topP).sort((a, b) => a.id - b.id);
  return all;
}

// The fewest of the likeliest whose weights reach topP of the whole.
function withTopP(ranked, topP) {
  const sum = ranked.reduce((total, {weight}) => total + weight, 0n);
  const share = topP * Number(sum);
  const enough = share > 0 ? leastOf(ceilingOf(share), sum) : 1n;
  let weight = 0n, kept = 0;
  while (weight < enough) weight += ranked[kept++].weight;
  return ranked.slice(0, kept);
}

// The token that follows: draw `number` of stream `stream`.
function drawToken(logits, options, stream, number) {
  if (options.temperature === 0) return logits.indexOf(Math.max(...logits));
  const candidates = candidatesOf(logits, options);
  const sum = candidates.reduce((total, {weight}) => total + weight, 0n);
  const bits = philoxBlock(options.seed, stream, number);
  const u = BigInt(bits[0]) << 32n | BigInt((bits[1] & ~0x7ff) >>> 0);  // 53 bits below the point
  let left = u * sum >> 64n;
  for (const {id, weight} of candidates) {
    if (left < weight) return id;
    left -= weight;
  }
  throw new Error('drawToken: the weights do not reach their own sum');
}

// The first token that the model sees of a text of `length`: sample/past_block.h.
function windowStart(length, blockSize, pastBlock) {
  if (pastBlock === 'window') return 0;
  const keep = pastBlock === 'block' ? Math.max(1, Math.floor(blockSize / 2)) : blockSize;
  const stride = blockSize - keep + 1, past = Math.max(0, length - blockSize);
  return Math.ceil(past / stride) * stride;
}

// One text that grows: next() gives a token more.
class TextSampler {
  constructor(model, tokens, options, {known, pastBlock, stream = 0}) {
    Object.assign(this, {model, options, known, pastBlock, stream});
    this.tokens = [...tokens];
    this.drawn = 0;
    this.restart(0);
  }

  restart(start) {
    this.start = start;
    this.cache = this.model.makeCache();
  }

  logits() {
    const {model, tokens} = this;
    const start = windowStart(tokens.length, model.config.block_size, this.pastBlock);
    if (start !== this.start) this.restart(start);
    const fresh = tokens.slice(this.start + this.cache.length);
    const V = model.config.vocab_size;
    const all = model.forward(fresh, {cache: this.cache});
    return all.subarray((fresh.length - 1) * V, (fresh.length - 1) * V + this.known);
  }

  next() {
    this.last = this.logits();
    const token = drawToken(this.last, this.options, this.stream, this.drawn++);
    this.tokens.push(token);
    return token;
  }
}
