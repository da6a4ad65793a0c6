'use strict';
// Texts and numbers for people. Whatever a user wrote goes into a page through textContent alone.

// What C++ put into the page under that id (inspect/page/page.h).
function pageData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

// An element with properties, attributes and children: element('p', {class: 'muted'}, 'text').
// Texts become text; a property that starts with "on" is a listener.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

// Characters that show nothing, or turn the direction of what stands around them, as what they are.
const VISIBLE = new Map([[' ', '·'], ['\n', '⏎'], ['\t', '⇥'], ['\r', '␍'], ['\u00a0', '⍽']]);
function visible(text) {
  let shown = '';
  for (const character of text) {
    const code = character.codePointAt(0);
    if (VISIBLE.has(character)) shown += VISIBLE.get(character);
    else if (code < 32) shown += String.fromCodePoint(0x2400 + code);
    else if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/u.test(character))
      shown += `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
    else shown += character;
  }
  return shown;
}

// 12345678 -> "12.3 M"; 0.000012 -> "1.20e-5".
function shortNumber(x, digits = 3) {
  if (x === null || x === undefined || Number.isNaN(x)) return 'none';
  if (!Number.isFinite(x)) return x > 0 ? '∞' : '-∞';
  const size = Math.abs(x);
  if (size === 0) return '0';
  for (const [unit, factor] of [['T', 1e12], ['G', 1e9], ['M', 1e6], ['k', 1e4]])
    if (size >= factor) return `${(x / (unit === 'k' ? 1e3 : factor)).toPrecision(digits)} ${unit}`;
  if (size < 1e-3) return x.toExponential(digits - 1);
  return String(Number(x.toPrecision(digits + 1)));
}

function bytesText(bytes) {
  for (const [unit, factor] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]])
    if (bytes >= factor) return `${(bytes / factor).toPrecision(3)} ${unit}`;
  return `${bytes} B`;
}

function percentText(p) {
  if (p >= 0.1) return `${(100 * p).toFixed(0)} %`;
  return p >= 0.001 ? `${(100 * p).toFixed(1)} %` : `${(100 * p).toPrecision(1)} %`;
}

// The numbers of array_json: {shape, data: Float32Array}.
function arrayOf(json) {
  const bytes = atob(json.f32);
  const buffer = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; ++i) buffer[i] = bytes.charCodeAt(i);
  return {shape: json.shape, data: new Float32Array(buffer.buffer)};
}
