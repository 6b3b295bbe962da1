/// @file
/// The style and the script of a report's page.
#pragma once

namespace cleave::report {

inline constexpr const char* page_style = R"(
:root { color-scheme: light dark; --page: #fff; --ink: #1c1e21; --soft: #5b6067; --grid: #e2e4e7;
  --line: #cfd3d8; --shade: #f5f6f8; --link: #0060a8; --bad: #b34700; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181b; --ink: #e4e6e8; --soft: #a0a6ad; --grid: #31353a; --line: #3d4248;
    --shade: #1f2226; --link: #6cb6f0; --bad: #f08a4b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1.5rem 1rem 3rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
p { margin: .3rem 0; max-width: 50rem; }
a { color: var(--link); }
.soft, figcaption { color: var(--soft); font-size: .85rem; line-height: 1.45; }
ul.advice { padding-left: 1.2rem; max-width: 50rem; }
ul.advice li { margin: .35rem 0; }
.figures { display: grid; gap: 2rem 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 29rem), 1fr)); }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
figure svg g { font-family: inherit; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; max-height: 36rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: left; white-space: nowrap; }
th { position: sticky; top: 0; background: var(--shade); font-weight: 600; }
tr + tr td { border-top: 1px solid var(--grid); }
.n { text-align: right; }
.wrap td { white-space: pre-wrap; overflow-wrap: anywhere; }
.wrap td:first-child { white-space: nowrap; overflow-wrap: normal; vertical-align: top; }
ol.rules { padding-left: 1.6rem; max-width: 50rem; }
.unmet { color: var(--bad); }
pre { overflow-x: auto; font-size: .8rem; line-height: 1.2; }
.hit { fill: transparent; outline: none; cursor: default; }
.hit:hover, .hit:focus { stroke: currentColor; stroke-width: 1.2; }
#tip { position: fixed; z-index: 1; max-width: min(22rem, 92vw); padding: .35rem .6rem;
  background: var(--ink); color: var(--page); border-radius: 4px; font-size: .85rem;
  line-height: 1.35; pointer-events: none; }
@media print { body { max-width: none; padding: 0; } .scroll { overflow: visible; max-height: none;
  border: 0; } table { font-size: .6rem; } th, td { padding: .1rem .25rem; white-space: normal; }
  th { position: static; } .figures { grid-template-columns: 1fr 1fr; } #tip { display: none; } }
)";

/// A tool tip under the pointer, the finger or the focus.
inline constexpr const char* page_script = R"(
(() => {
  const tip = document.getElementById('tip');
  const hide = () => { tip.hidden = true; };
  const show = (hit) => {
    tip.textContent = hit.getAttribute('aria-label');
    tip.hidden = false;
    const at = hit.getBoundingClientRect();
    const left = at.left + at.width / 2 - tip.offsetWidth / 2;
    const above = at.top - tip.offsetHeight - 6;
    tip.style.left = Math.max(4, Math.min(left, innerWidth - tip.offsetWidth - 4)) + 'px';
    tip.style.top = (above < 4 ? at.bottom + 6 : above) + 'px';
  };
  const look = (event) => {
    const hit = event.target.closest && event.target.closest('.hit');
    if (hit) show(hit); else hide();
  };
  for (const what of ['pointerover', 'pointerdown', 'focusin'])
    document.addEventListener(what, look);
  document.addEventListener('focusout', hide);
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') hide(); });
  addEventListener('scroll', hide, { passive: true });
})();
)";

} // namespace cleave::report
