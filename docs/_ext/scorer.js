/* The search finds what users call before what the benchmark, the command line and the source say by the way. */
var Scorer = {
  score: ([docname, title, anchor, , score]) => {
    if (/^#?term-/.test(anchor)) return score + 20; // a word of the glossary, before the functions that bear it
    if (/^#?module-/.test(anchor)) return score / 3; // a file is seldom what is looked for
    if (/^docs\/reference\/more/.test(docname)) return score / 4;
    if (/^source\//.test(docname)) return score / 8;
    if (/^docs\/install/.test(docname)) return score + 6;
    if (!/^docs\/reference\//.test(docname)) return score;
    return anchor ? score + 6 - title.length / 1000 : score * 0.7; // an object, the shorter first; a long page, later
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
