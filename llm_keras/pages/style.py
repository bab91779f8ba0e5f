"""The look of the report: one column, sober, on paper-white or in the dark, wide or on a phone."""

#: Colours are named by what they stand for; the charts use the same names.
STYLE = """
:root {
  --paper: #fdfcfa; --card: #f5f3ef; --ink: #1e2124; --muted: #666b72; --rule: #dedbd5;
  --training: #2a6496; --validation: #b3541e; --baseline: #8a8f96;
  --good: #2e7d4f; --fair: #a06a00; --weak: #a63d2f; --open: #8a8f96;
  --kept: #3f8f63; --dead: #3a3d42;
  --dropped-0: #c9743c; --dropped-1: #d99b5f; --dropped-2: #b9648a; --dropped-3: #7d78b8;
  --dropped-4: #a8a29a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17191c; --card: #202327; --ink: #e4e2dd; --muted: #9ba1a8; --rule: #34383d;
    --training: #74b0e0; --validation: #e8945f; --baseline: #7f858c;
    --good: #6cc08f; --fair: #dba94a; --weak: #e58274; --open: #7f858c;
    --kept: #5aa97c; --dead: #cfd2d6;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere;
}
header .run { color: var(--muted); margin: 0; }
h1 { font-size: 1.6rem; line-height: 1.25; font-weight: 650; margin: 0 0 .3rem; }
h2 {
  font-size: 1.25rem; font-weight: 650; margin: 3rem 0 .6rem; padding-top: 1rem;
  border-top: 1px solid var(--rule);
}
h3 { font-size: 1rem; font-weight: 600; margin: 1.6rem 0 .4rem; }
p { margin: .5rem 0; max-width: 44rem; }
.note, .missing, .legend, figcaption { color: var(--muted); font-size: .875rem; }
.good, .fair, .weak, .open { border-left: 5px solid; padding-left: 1rem; margin: .8rem 0 1.2rem; }
.good { border-color: var(--good); } .fair { border-color: var(--fair); }
.weak { border-color: var(--weak); } .open { border-color: var(--open); }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.2rem; }
.tiles div { flex: 1 0 8.5rem; background: var(--card); border-radius: 6px; padding: .7rem .9rem; }
.tiles b {
  display: block; font-size: 1.4rem; font-weight: 600; line-height: 1.3; white-space: nowrap;
}
.tiles span { color: var(--muted); font-size: .875rem; }
.tiles b, td { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9375rem; }
th, td { padding: .32rem 1.4rem .32rem 0; text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: .4rem; }
thead th { color: var(--muted); font-weight: 500; border-bottom: 1px solid var(--rule); }
tbody th { font-weight: 400; }
.facts th { white-space: nowrap; color: var(--muted); }
.figures th { overflow-wrap: normal; }
.figures td, .figures thead th:not(:first-child) { text-align: right; }
.figures td { white-space: nowrap; }
tr + tr > * { border-top: 1px solid var(--rule); }
.mark > * { font-weight: 650; }
.swatch {
  display: inline-block; width: .7rem; height: .7rem; border-radius: 2px; margin-right: .5rem;
}
.swatch.training { background: var(--training); }
.swatch.validation { background: var(--validation); }
.swatch.baseline { background: var(--baseline); }
.swatch.kept { background: var(--kept); } .swatch.dead { background: var(--dead); }
.swatch.dropped-0 { background: var(--dropped-0); }
.swatch.dropped-1 { background: var(--dropped-1); }
.swatch.dropped-2 { background: var(--dropped-2); }
.swatch.dropped-3 { background: var(--dropped-3); }
.swatch.dropped-4 { background: var(--dropped-4); }
.bar { display: flex; height: 1.4rem; border-radius: 4px; overflow: hidden; margin: 1rem 0; }
.bar .swatch {
  display: block; width: auto; min-width: 3px; height: auto; border-radius: 0; margin: 0;
}
.legend { max-width: none; }
.entry { display: inline-block; margin-right: 1.2rem; }
figure { margin: .9rem 0; }
blockquote {
  margin: .3rem 0 0; padding: .7rem .9rem; background: var(--card); border-radius: 6px;
  white-space: pre-wrap; font-size: .9375rem;
}
.sample { margin: .7rem 0; }
.sides { display: grid; grid-template-columns: repeat(4, 1fr); gap: .6rem; }
.sides > div { display: flex; flex-direction: column; }
.sides blockquote { flex: 1; margin-bottom: 0; padding: .6rem .7rem; font-size: .875rem; }
h4 { font-size: .8125rem; font-weight: 500; color: var(--muted); margin: .4rem 0 0; }
ins { text-decoration: none; border-radius: 3px; padding: 0 .1em; }
.right { background: color-mix(in srgb, var(--good) 30%, transparent); }
.missed { background: color-mix(in srgb, var(--fair) 30%, transparent); }
del { color: var(--muted); }
.pieces span:nth-child(odd) { background: color-mix(in srgb, var(--training) 22%, transparent); }
svg { display: block; width: 100%; height: auto; color: var(--ink); }
svg.meter { height: .95rem; margin: .3rem 0; }
.chart text { font-size: 11px; }
.narrow { display: none; }
.grid {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 0 1.5rem;
}
pre {
  background: var(--card); border-radius: 6px; padding: .9rem; font-size: .8125rem;
  line-height: 1.5; white-space: pre-wrap;
}
code { font-size: .875em; }
summary { cursor: pointer; }
@media (max-width: 55rem) { .sides { grid-template-columns: 1fr 1fr; } }
@media (max-width: 40rem) {
  .sides { grid-template-columns: 1fr; }
  body { padding: 1.25rem 1rem 3rem; }
  h1 { font-size: 1.4rem; }
  .tiles b { font-size: 1.2rem; }
  .wide { display: none; } .narrow { display: block; }
  table { font-size: .875rem; }
  th, td { padding-right: .9rem; }
}
"""
