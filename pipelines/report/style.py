"""What a page about a corpus looks like beyond the look of every page."""

STYLE = """
body { max-width: 68rem; }
.remark { border-left: 5px solid; border-radius: 4px; padding: .6rem .9rem; max-width: none; }
.remark.alarm {
  border-color: var(--weak); background: color-mix(in srgb, var(--weak) 16%, transparent);
}
.remark.notice {
  border-color: var(--fair); background: color-mix(in srgb, var(--fair) 12%, transparent);
}
.flag {
  background: var(--weak); color: var(--paper); border-radius: 3px; padding: 0 .35rem;
  font-size: .75rem; font-weight: 600; white-space: nowrap;
}
.meaning { color: var(--muted); font-size: .875rem; }
td > .meter { min-width: 12rem; }
.matrix table { font-size: .8125rem; }
.matrix th, .matrix td { padding: .12rem .12rem; vertical-align: bottom; }
.matrix tbody th, .matrix td { vertical-align: middle; }
.matrix th:first-child {
  position: sticky; left: 0; background: var(--paper); padding-right: .8rem;
  min-width: 9rem; max-width: 14rem;
}
.matrix td:nth-child(-n+4) { padding-right: .6rem; }
.tilted {
  writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; line-height: 1.1;
  max-height: 11rem; display: inline-block; padding-top: .2rem;
}
.heat {
  display: block; min-width: 2.3rem; padding: .15rem .25rem; border-radius: 3px;
  background: color-mix(in srgb, var(--dropped-0) var(--heat), transparent);
}
.heat.none { background: none; color: var(--muted); }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1rem; }
.pair figure { margin: .5rem 0; min-width: 0; }
.pair blockquote { font-size: .875rem; max-height: 13rem; overflow: auto; }
.pair .kept blockquote { border-left: 3px solid var(--kept); }
.pair .dropped blockquote { border-left: 3px solid var(--dropped-0); }
.words td { white-space: normal; text-align: left; min-width: 4rem; }
.words th, .words thead th:not(:first-child) { text-align: left; max-width: 30rem; }
details { margin: .5rem 0; }
summary { padding: .25rem 0; }
summary b { font-weight: 600; }
.count { color: var(--muted); font-size: .875rem; font-weight: 400; }
.bin { color: var(--muted); font-size: .8125rem; margin: 0 0 .8rem; }
@media (max-width: 40rem) {
  .pair { grid-template-columns: 1fr; }
  td > .meter { min-width: 5rem; }
  .meaning { display: none; }
  .matrix th:first-child { min-width: 6rem; max-width: 8rem; }
}
"""
