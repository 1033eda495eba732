"""The CSS of the page: a light and a dark theme, responsive columns, a print layout.

The colours of lines are those of Okabe and Ito ("Color Universal Design", 2008), darker on white
and lighter on black. Readers with any common colour vision deficiency can tell them apart.
"""

_LIGHT = """
  --page:#f6f6f4; --card:#ffffff; --ink:#1a1b1e; --quiet:#5b6068; --rule:#e2e2de; --grid:#ececE8;
  --accent:#0a5ea8; --best:#e3effa; --warn:#a33c00; --warn-card:#fdf0e7; --heat:#0a66b5;
  --miss:#d55e00; --bar:#dbe8f4; --hover:rgba(10,94,168,.09); --shade:rgba(0,0,0,.11);
  --ground:var(--page);
  --c0:#0072b2; --c1:#c75300; --c2:#00855f; --c3:#b0528c; --c4:#977000; --c5:#5b5f66;
"""
_DARK = """
  --page:#131417; --card:#1b1d21; --ink:#e8e8e5; --quiet:#9ea4ad; --rule:#2d3036; --grid:#282b30;
  --accent:#7cbcf5; --best:#173450; --warn:#ffab70; --warn-card:#33231a; --heat:#56b0f2;
  --miss:#f08a4b; --bar:#21405c; --hover:rgba(124,188,245,.13); --shade:rgba(0,0,0,.6);
  --ground:var(--page);
  --c0:#56b4e9; --c1:#f2915a; --c2:#3fcb9e; --c3:#e59ac6; --c4:#e3bd4d; --c5:#b4b9c1;
"""
_TEXT = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--page);color:var(--ink);overflow-wrap:anywhere;
  font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1160px;margin:0 auto;padding:clamp(20px,4vw,48px) clamp(16px,4vw,40px)}
h1{font-size:clamp(26px,5vw,38px);line-height:1.15;letter-spacing:-.022em;font-weight:680;
  margin:2px 0 10px}
h2{font-size:22px;line-height:1.25;letter-spacing:-.012em;font-weight:650;margin:0 0 4px}
h3{font-size:15px;font-weight:650;margin:30px 0 10px}
p{margin:0 0 12px;max-width:76ch}
a{color:var(--accent);text-underline-offset:3px}
.kind{margin:0;color:var(--quiet);font-size:13px;letter-spacing:.02em}
.lead,.foot{color:var(--quiet);font-size:14px}
.foot{margin-top:8px;font-size:13px}
.summary{color:var(--quiet);font-size:15.5px;max-width:none}
.state{color:var(--ink);font-weight:600}
.state::before{content:"";display:inline-block;width:9px;height:9px;border-radius:50%;
  margin-right:8px;background:var(--c2)}
.state.open::before{background:var(--c4)}
.warning{background:var(--warn-card);color:var(--warn);border-radius:8px;padding:10px 14px;
  max-width:none}
section{margin-top:56px;padding-top:22px;border-top:1px solid var(--rule)}
nav{display:flex;flex-wrap:wrap;gap:6px 20px;margin:26px 0 0;font-size:14px}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
footer{margin-top:64px;color:var(--quiet);font-size:13px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
  font-size:13px}
pre{margin:0;padding:14px 16px;background:var(--card);border:1px solid var(--rule);
  border-radius:10px;overflow-x:auto;line-height:1.5;tab-size:2;overflow-wrap:normal}
.command span{display:inline-block;max-width:100%}
.command{white-space:pre-wrap;overflow-wrap:anywhere;margin-bottom:10px}
"""
_PARTS = """
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:22px 20px;
  margin:26px 0 0;padding:0;list-style:none}
.tiles b{display:block;white-space:nowrap;font-size:clamp(20px,2.6vw,27px);
  line-height:1.2;font-weight:620;letter-spacing:-.02em;
  font-variant-numeric:tabular-nums}
.tiles span{display:block;font-size:13px;color:var(--quiet);line-height:1.4}
.tiles span.what{color:var(--ink);font-size:13.5px}
.scroll{overflow-x:auto;max-width:100%;background:
  linear-gradient(to right,var(--ground) 40%,transparent) left/36px 100%,
  linear-gradient(to left,var(--ground) 40%,transparent) right/36px 100%,
  linear-gradient(to right,var(--shade),transparent) left/14px 100%,
  linear-gradient(to left,var(--shade),transparent) right/14px 100%;
  background-repeat:no-repeat;background-attachment:local,local,scroll,scroll}
.table+.table{margin-top:26px}
.scroll:focus-visible,pre:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px;line-height:1.4}
th{color:var(--quiet);font-weight:500;font-size:13px;text-align:left;vertical-align:bottom;
  border-bottom:1px solid var(--quiet);white-space:nowrap}
th,td{padding:7px 14px 7px 0}
td{border-bottom:1px solid var(--rule);vertical-align:top}
tbody tr:last-child td{border-bottom:0} thead td{border-color:var(--quiet)}
th+th,td+td{padding-left:14px}
th.number,td.number{text-align:right;white-space:nowrap}
td.name{font-weight:600;min-width:9em;max-width:26em}
td.wide{min-width:16em}
.scores thead tr:first-child>*{border-bottom:0;padding-bottom:0}
.scores th.group,.scores .first{padding-left:26px}
.scores th:first-child,.scores td:first-child{position:sticky;left:0;
  background:var(--page);z-index:1}
td small{display:block;color:var(--quiet);font-size:12px;font-weight:400}
td.best{background:var(--best);font-weight:680}
td.best::before{content:"▲";font-size:8px;vertical-align:2px;margin-right:5px;color:var(--accent)}
td.share{background:linear-gradient(to right,var(--bar) var(--share),transparent var(--share));
  background-size:100% calc(100% - 4px);background-repeat:no-repeat;
  background-position:0 2px;min-width:112px}
td.range{width:60%;min-width:130px;padding-top:4px;padding-bottom:4px;vertical-align:middle}
td.range svg{display:block;width:100%;height:26px}
details{margin-top:16px}
summary{cursor:pointer;font-weight:600;font-size:14px;padding:4px 0;width:fit-content}
details[open]>summary{margin-bottom:8px}
dl{display:grid;grid-template-columns:minmax(90px,max-content) 1fr;gap:5px 22px;margin:14px 0 0;
  font-size:14px}
dt{color:var(--quiet)} dd{margin:0;font-variant-numeric:tabular-nums}
figure{margin:0}
img{display:block;max-width:100%;height:auto;border-radius:5px}
"""
_PICTURES = """
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(310px,100%),1fr));gap:16px;
  margin-top:22px}
.chart{position:relative;--ground:var(--card);background:var(--card);border:1px solid var(--rule);
  border-radius:12px;padding:14px 14px 8px;display:flex;flex-direction:column;break-inside:avoid}
.chart>svg{margin-top:auto;width:100%;height:auto;display:block}
.chart.double{padding-bottom:12px}
.chart.double .scroll>svg{width:100%;min-width:560px;display:block}
.chart.double table{width:100%}
.chart.double .scroll{margin-top:auto;margin-bottom:auto}
@media (min-width:740px){.chart.double{grid-column:span 2}}
figcaption strong{display:block;font-weight:650;font-size:14px}
figcaption>span{display:block;color:var(--quiet);font-size:12.5px;line-height:1.4}
.legend{list-style:none;margin:6px 0 8px;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;
  font-size:12.5px;font-variant-numeric:tabular-nums}
.legend .key{width:26px;height:10px;margin-right:6px}
.legend b{font-weight:650}
.swatch{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:7px;
  background:var(--c)}
.grid{stroke:var(--grid);stroke-width:1}
.mark{stroke:var(--quiet);stroke-width:1;stroke-dasharray:1 3}
.tick{fill:var(--quiet);font-size:10.5px;font-variant-numeric:tabular-nums}
.line{fill:none;stroke:var(--c);stroke-width:1.7;stroke-linejoin:round;stroke-linecap:round}
circle{fill:var(--c)} .bar{fill:var(--c)}
.column{fill:transparent} .column:hover{fill:var(--hover)}
.s0{--c:var(--c0)} .s1{--c:var(--c1)} .s2{--c:var(--c2)}
.s3{--c:var(--c3)} .s4{--c:var(--c4)} .s5{--c:var(--c5)}
.d1{stroke-dasharray:6 3.5} .d2{stroke-dasharray:.1 3.4} .d3{stroke-dasharray:9 3 .1 3}
.d4{stroke-dasharray:3 3}
circle{stroke-dasharray:none}
.range-line{stroke:var(--ink);stroke-width:2} .range-dot{stroke:var(--accent);stroke-width:6}
.range-chance{stroke:var(--quiet);stroke-width:1;stroke-dasharray:1 3}
.range-base{stroke:var(--rule);stroke-width:1}
.heats{display:flex;flex-wrap:wrap;gap:28px 24px}
.heat{max-width:100%;min-width:0} .heat svg{display:block}
.cell{fill:var(--miss)} .cell.right{fill:var(--heat)}
.cell:hover{stroke:var(--ink);stroke-width:1.5}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));
  gap:26px 36px;margin:18px 0 22px}
.pair:has(figure:nth-child(5)){grid-column:1/-1}
.pair{min-width:0;display:flex;flex-direction:column;break-inside:avoid}
.pair>p{margin:0 0 6px;font-size:13.5px}
.pair>p span{display:block;color:var(--quiet)}
.shots{margin-top:auto;display:flex;gap:8px;align-items:flex-start}
.shots figure{min-width:0;flex:var(--wide) 1 0}
.shots img{width:100%}
.shots figcaption{color:var(--quiet);font-size:12px;margin-top:3px}
.facts{margin:0;padding-left:18px;max-width:84ch;font-size:14px}
.map{display:grid;grid-template-columns:repeat(var(--columns),72px);grid-auto-rows:54px;gap:3px;
  width:max-content}
.tile{width:72px;height:54px;border-radius:4px;forced-color-adjust:none} .off{display:none}
.sheet{position:absolute;width:0;height:0}
.near{display:flex;gap:12px;padding:12px 0;border-bottom:1px solid var(--rule);width:max-content}
.near figure{width:134px} .near .query{padding-right:12px;border-right:1px solid var(--quiet);
  box-sizing:content-box}
.near img{height:92px;width:134px;object-fit:cover}
.near figcaption{font-size:12px;line-height:1.35;color:var(--quiet);margin-top:4px}
.near b{display:block;color:var(--ink)}
@media (max-width:600px){td.name{min-width:8em;max-width:10em}
  .scores td.name small{display:none} td.range{min-width:90px} section{margin-top:44px}}
"""
# What only scripts make, and the map that they have taken over; on paper it is as without them.
_ALIVE = """
th button,.legend button{font:inherit;color:inherit;background:none;border:0;padding:4px 0;
  margin:-4px 0;position:relative;text-align:inherit;cursor:pointer}
.legend button[aria-pressed=false]{color:var(--quiet);text-decoration:line-through}
.legend button[aria-pressed=false] .key{opacity:.3} .away{visibility:hidden}
th button:hover{color:var(--ink)}
th[aria-sort]{color:var(--ink)}
th[aria-sort] button::after{content:"↑";position:absolute;left:calc(100% + 2px)}
th[aria-sort=descending] button::after{content:"↓"}
th.number[aria-sort] button::after{left:auto;right:calc(100% + 2px)}
.column.at{fill:var(--hover)}
:is(button,.chart>svg,.tile):focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.tip{position:absolute;z-index:4;pointer-events:none;max-width:min(300px,80%);padding:6px 9px;
  background:var(--card);border:1px solid var(--rule);border-radius:8px;font-size:12px;
  line-height:1.45;box-shadow:0 4px 16px var(--shade);font-variant-numeric:tabular-nums}
.tip>*{display:block} .tip .key{display:inline-block;width:20px;height:8px;margin-right:5px}
.card>svg{max-width:100%;border-radius:5px;margin-bottom:5px}
.tools{display:flex;flex-wrap:wrap;gap:6px;align-items:center;margin:0 0 10px;font-size:13px;
  color:var(--quiet)}
.tools button{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--rule);
  border-radius:8px;min-width:32px;padding:3px 9px;cursor:pointer}
.tools button:hover{border-color:var(--quiet)} .tools span{margin-left:6px}
@media screen{
.live{position:relative;overflow:visible;background:none}
.live .map{display:block;position:relative;width:100%;height:clamp(320px,50vw,560px);
  overflow:hidden;background:var(--card);border:1px solid var(--rule);border-radius:12px;
  cursor:grab;user-select:none;-webkit-user-select:none;touch-action:pan-y}
.live .near{touch-action:none} .live .map:active{cursor:grabbing}
.live .tile{display:block;position:absolute;left:0;top:0;z-index:1;width:var(--wide);
  height:calc(.75*var(--wide));transform:var(--to) translate(-50%,-50%);
  box-shadow:0 0 0 2px var(--c)}
.live .dot{z-index:0;width:calc(var(--wide)/8);height:calc(var(--wide)/8);border-radius:50%;
  background:var(--c);box-shadow:none}
.dot use{display:none}
.live .same{z-index:2;box-shadow:0 0 0 2px var(--c),0 0 0 4px var(--ink)} .live .on{z-index:3}
.live+.foot{display:none}
}
"""
_PAPER = """
@media print{
  .tools,.tip{display:none}
  :root{--page:#fff}
  body{font-size:11px} main{max-width:none;padding:0} nav{display:none} section{margin-top:26px}
  .scroll{overflow:visible;background:none} pre{white-space:pre-wrap}
  .map,.near{zoom:.66} .scores{zoom:.8} th+th,td+td{padding-left:6px} th,td{padding-right:6px}
  details::details-content{content-visibility:visible;block-size:auto}
  table,th{font-size:12px} tr,figure,.tiles{break-inside:avoid} h2,h3{break-after:avoid}
  *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
"""
STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    f"{_TEXT}{_PARTS}{_PICTURES}{_ALIVE}{_PAPER}"
)
