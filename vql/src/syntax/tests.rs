//! The syntax as a whole: what reads, what does not, and that what is read can be written and read again.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::ast::*;
use super::*;
use crate::diagnostic::render;

/// The tree without its places: spans differ between a text and its new layout.
fn shape(script: &Script) -> String {
    without_spans(&format!("{:?}", script.statements))
}

fn without_spans(debug: &str) -> String {
    let mut out = String::new();
    let mut rest = debug;
    while let Some(at) = rest.find("Span {") {
        out.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('}').unwrap() + 1..];
    }
    out.push_str(rest);
    out
}

fn read(text: &str) -> Script {
    let parsed = parse(text);
    assert!(parsed.diagnostics.is_empty(), "{text}\n{}", render("query", text, &parsed.diagnostics));
    parsed.script
}

/// What a tree means, fully bracketed.
fn tree(text: &str) -> String {
    let expr = parse_expression(text).unwrap_or_else(|d| panic!("{text}\n{}", render("text", text, &d)));
    brackets(&expr)
}

fn brackets(expr: &Expr) -> String {
    let args = |args: &Option<Vec<Arg>>| match args {
        None => String::new(),
        Some(args) => {
            let inside: Vec<String> = args
                .iter()
                .map(|a| match &a.value {
                    ArgValue::Expr(e) => format!("{}={}", a.name.name, brackets(e)),
                    ArgValue::Select(s) => format!("{}={{{}}}", a.name.name, canonical_select(s)),
                })
                .collect();
            format!("({})", inside.join(","))
        }
    };
    match &expr.kind {
        ExprKind::Symbol { name, args: a } => format!("{}{}", name.name, args(a)),
        ExprKind::Member { base, name, args: a } => format!("<{}.{}{}>", brackets(base), name.name, args(a)),
        ExprKind::Index { base, index } => format!("<{}[{}]>", brackets(base), brackets(index)),
        ExprKind::Slice { base, start, end } => {
            let part = |e: &Option<std::sync::Arc<Expr>>| e.as_ref().map_or(String::new(), |e| brackets(e));
            format!("<{}[{}:{}]>", brackets(base), part(start), part(end))
        }
        ExprKind::Negate(inner) => format!("<neg {}>", brackets(inner)),
        ExprKind::Not(inner) => format!("<not {}>", brackets(inner)),
        ExprKind::Binary { op, left, right } => format!("<{} {} {}>", brackets(left), op.text(), brackets(right)),
        ExprKind::Paren { inner, bracket: Bracket::Round } => format!("({})", brackets(inner)),
        ExprKind::Paren { inner, bracket: Bracket::Square } => format!("[{}]", brackets(inner)),
        ExprKind::Array { items, .. } => {
            format!("array[{}]", items.iter().map(|i| brackets(i)).collect::<Vec<_>>().join(","))
        }
        ExprKind::Int(i) => format!("{i}"),
        ExprKind::Float(f) => format!("{f:?}"),
        ExprKind::String { value, .. } => format!("{:?}", String::from_utf8_lossy(value)),
        _ => canonical(expr),
    }
}

#[test]
fn operators_bind_as_vql_says() {
    for (text, meaning) in [
        ("1 + 2 * 3", "<1 + <2 * 3>>"),
        ("1 - 2 - 3", "<<1 - 2> - 3>"),
        ("8 / 4 / 2 % 3", "<<<8 / 4> / 2> % 3>"),
        ("a-b", "<a - b>"),
        ("2-1", "<2 - 1>"),
        ("2 -1", "<2 - 1>"),
        ("1 + -2", "<1 + -2>"),
        ("-a.b", "<neg <a.b>>"),
        ("-2 * 3", "<-2 * 3>"),
        ("- 2", "<neg 2>"),
        ("x[-5:]", "<x[-5:]>"),
        ("x[:5]", "<x[:5]>"),
        ("x[1:5].y[0]", "<<<x[1:5]>.y>[0]>"),
        ("a * b[0]", "<a * <b[0]>>"),
        ("false and 5 or 4", "<FALSE AND <5 OR 4>>"),
        ("a or b and c or d", "<<a OR b> AND <c OR d>>"),
        ("a || b && c", "<<a || b> && c>"),
        ("a ||| b | c", "<<a || b> || c>"),
        ("not a = b", "<not <a = b>>"),
        ("not a and b", "<<not a> AND b>"),
        ("NOT NOT a", "<not <not a>>"),
        ("a = 1 and b != 2 or c <> 3", "<<a = 1> AND <<b != 2> OR <c != 3>>>"),
        ("a =~ 'x' and b !~ 'y'", "<<a =~ \"x\"> AND <b !~ \"y\">>"),
        ("a + 1 in (1, 2)", "<<a + 1> IN array[1,2]>"),
        ("1, 2", "array[1,2]"),
        ("(1)", "(1)"),
        ("(1,)", "array[1]"),
        ("(1,2,)", "array[1,2]"),
        ("[1]", "[1]"),
        ("[1,]", "array[1]"),
        ("[]", "array[]"),
        ("f()", "f()"),
        ("f(a=1, b=[1, 2], c={ SELECT * FROM x })", "f(a=1,b=array[1,2],c={SELECT * FROM x})"),
        ("f(limit=1, desc=2, from=3, `a b`=4)", "f(limit=1,desc=2,from=3,a b=4)"),
        ("f(a=b = c)", "f(a=<b = c>)"),
        ("x.limit.Desc", "<<x.limit>.Desc>"),
        ("x.`@Keys`", "<x.@Keys>"),
        ("Artifact.A.B(x=1).y", "<<<Artifact.A>.B(x=1)>.y>"),
        ("group", "group"),
        ("order + asc", "<order + asc>"),
        ("070", "56"),
        ("-070", "-56"),
        ("0x1F", "31"),
        ("089", "89.0"),
        ("1.5e3", "1500.0"),
        ("1.", "1.0"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9.223372036854776e18"),
        ("0xffffffffffffffff", "1.8446744073709552e19"),
        (r"'a\n\x41\q\'\\'", r#""a\nAq'\\""#),
        (r"'\xzz'", r#""xzz""#),
        (r"'''a\n'b''' + ''", r#"<"a\\n'b" + "">"#),
        ("\"a\nb\"", r#""a\nb""#),
        ("1 /* x */ + -- y\n 2 // z", "<1 + 2>"),
    ] {
        assert_eq!(tree(text), meaning, "{text}");
    }
}

#[test]
fn bytes_of_strings() {
    let expr = parse_expression(r"'\xff\x00é'").unwrap();
    let ExprKind::String { value, quote: Quote::Single } = &expr.kind else { panic!("{expr:?}") };
    assert_eq!(&value[..], b"\xff\x00\xc3\xa9");
}

#[test]
fn canonical_text() {
    for (text, name) in [
        ("1+2", "1 + 2"),
        ("format( format = '%v',args=1 )", "format(format='%v', args=1)"),
        (r"'foo\'s quote'", r"'foo\'s quote'"),
        ("\"A\"", "\"A\""),
        ("'''raw 'x' '''", "'''raw 'x' '''"),
        ("1118628985.0", "1118628985.0"),
        ("1.50", "1.50"),
        ("0x1f", "0x1f"),
        ("070", "070"),
        ("x[1 : 5]", "x[1:5]"),
        ("null||false", "NULL || FALSE"),
        ("a and not b", "a AND NOT b"),
        ("a<>b", "a != b"),
        ("- -x", "- -x"),
        ("- 5", "- 5"),
        ("1. .a", "1. .a"),
        ("1 .a", "1.a"),
        ("(1,2)", "(1, 2)"),
        ("(1,)", "(1,)"),
        ("[1,]", "[1,]"),
        ("[ ]", "[]"),
        ("( a )", "(a)"),
        ("dict(`arg-with-special chars`=TRUE)", "dict(`arg-with-special chars`=TRUE)"),
        ("dict(`plain`=1, `limit`=2)", "dict(plain=1, limit=2)"),
        ("`select`+`a b`", "`select` + `a b`"),
        (
            "{select * , a as b from x(y=1) where a group by b order by c desc, d asc limit 5}",
            "{ SELECT *, a AS b FROM x(y=1) WHERE a GROUP BY b ORDER BY c DESC, d LIMIT 5 }",
        ),
    ] {
        let expr = parse_expression(text).unwrap();
        assert_eq!(canonical(&expr), name);
        let again = parse_expression(name).unwrap();
        assert_eq!(without_spans(&format!("{expr:?}")), without_spans(&format!("{again:?}")), "{text}");
    }
}

#[test]
fn lambdas() {
    let expr = parse_lambda("x, y => x.a + y").unwrap();
    let ExprKind::Lambda { params, .. } = &expr.kind else { panic!("{expr:?}") };
    assert_eq!(params.iter().map(|p| &*p.name).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(canonical(&expr), "x, y => x.a + y");
    assert_eq!(canonical(&parse_lambda("x=>x>1").unwrap()), "x => x > 1");
    for wrong in ["", "x", "x + 1", "=>", "x =>", "x => y => z", "1 => 2", "x => )"] {
        assert!(!parse_lambda(wrong).unwrap_err().is_empty(), "{wrong}");
    }
}

#[test]
fn statements() {
    let script = read(
        "-- all of it\nLET a = 1 + 2 LET b <= SELECT * FROM a LET f(x, y=5, z={ SELECT 1 FROM scope() }) = x + y\n\
         EXPLAIN SELECT * a, { SELECT 1 FROM scope() } AS `b c`, * FROM Artifact.A.Limit(x=1) WHERE a =~ 'x' \
         group  by a, b Order\nBy c, d DESC, e ASC LIMIT 5 + 1 SELECT a AS Limit FROM f(x=1)",
    );
    assert_eq!(script.statements.len(), 5);
    assert_eq!(script.comments.len(), 1);
    let Statement::Let(f) = &script.statements[2] else { panic!() };
    assert_eq!(f.params.as_ref().unwrap().len(), 3);
    assert!(matches!(f.params.as_ref().unwrap()[2].default, Some(ArgValue::Select(_))));
    let Statement::Let(b) = &script.statements[1] else { panic!() };
    assert!(b.materialize && b.params.is_none() && matches!(b.body, LetBody::Select(_)));
    let Statement::Select(select) = &script.statements[3] else { panic!() };
    assert!(select.explain);
    assert_eq!(select.columns.len(), 4);
    assert_eq!(select.from.path.iter().map(|p| &*p.name).collect::<Vec<_>>(), ["Artifact", "A", "Limit"]);
    assert_eq!(select.group_by.len(), 2);
    assert_eq!(select.order_by.iter().map(|k| k.descending).collect::<Vec<_>>(), [false, true, false]);
    assert!(select.limit.is_some());
    let Statement::Select(last) = &script.statements[4] else { panic!() };
    let Column::Expr { alias: Some(alias), .. } = &last.columns[0] else { panic!() };
    assert_eq!(&*alias.name, "Limit");
    assert_eq!(last.from.args.as_ref().unwrap().len(), 1);
}

#[test]
fn an_error_leaves_the_other_statements() {
    let text = "SELECT a FROM info() WHERE ) SELECT b FROM info()\nSELECT d, FROM info()\nLET c = \nLET e = [1, 2";
    let parsed = parse(text);
    assert_eq!(parsed.diagnostics.len(), 4, "{}", render("query", text, &parsed.diagnostics));
    let names: Vec<String> = parsed.script.statements.iter().map(|s| without_spans(&format!("{s:?}"))).collect();
    assert!(names.iter().any(|n| n.contains("\"b\"")), "{names:?}");
}

#[test]
fn what_does_not_parse() {
    for text in [
        "",
        " ",
        "-- only a comment",
        "SELECT",
        "SELECT *",
        "SELECT * FROM",
        "LET",
        "LET x",
        "LET x =",
        "SELECT 1 + FROM x",
        "SELECT * FROM x WHERE",
        "SELECT * FROM x LIMIT",
        "SELECT * FROM x()()",
        "SELECT f(1) FROM x",
        "SELECT a b FROM x",
        "SELECT a AS FROM x",
        "SELECT * FROM x GROUP a",
        "SELECT 'a FROM x",
        "SELECT a FROM x /* y",
        "SELECT `a FROM x",
        "SELECT (1 FROM x",
        "SELECT 1) FROM x",
        "SELECT a FROM x; SELECT b FROM x",
        "SELECT a == b FROM x",
        "SELECT a FROM x WHERE a = b = c",
        "SELECT () FROM x",
        "SELECT a FROM 'x'",
        "SELECT a FROM x.y.",
        "5",
        "SELECT é FROM x",
    ] {
        let parsed = parse(text);
        assert!(parsed.diagnostics.iter().any(|d| d.is_error()), "{text}");
        assert!(!render("query", text, &parsed.diagnostics).is_empty());
    }
}

#[test]
fn a_text_that_only_ends_too_early_can_go_on() {
    for text in [
        "SELECT",
        "SELECT *",
        "SELECT a,",
        "SELECT a, b AS",
        "SELECT * FROM",
        "SELECT * FROM f(",
        "SELECT * FROM f(a=",
        "SELECT * FROM f(a={ SELECT * FROM x }",
        "SELECT * FROM f(a={",
        "SELECT * FROM f(a=[1,",
        "SELECT 'a",
        "SELECT \"a\nb",
        "SELECT '''a",
        "SELECT `a",
        "SELECT * /* a",
        "SELECT * FROM x WHERE",
        "SELECT * FROM x WHERE a AND",
        "SELECT * FROM x ORDER BY",
        "EXPLAIN",
        "LET",
        "LET x",
        "LET x =",
        "LET f(a",
        "LET x = 1 +",
        "LET x = 1 LET y = (",
    ] {
        assert!(parse(text).incomplete, "{text}");
    }
    for text in [
        "SELECT * FROM x",
        "LET x = 1",
        "SELECT f(a=1 FROM x",
        "SELEC",
        "SELECT * FROM f(a=1))",
        "SELECT * FORM f(",
        "SELECT $a FROM (",
        "SELECT a b FROM",
    ] {
        assert!(!parse(text).incomplete, "{text}");
    }
}

/// Queries of the reference implementation, where they lie beside the project.
#[cfg(feature = "eval")]
#[test]
fn conformance_queries_parse() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let mut count = 0;
    for file in ["language.jsonl", "sessions.jsonl"] {
        let path = folder.join(file);
        let Ok(lines) = std::fs::read_to_string(&path) else {
            #[allow(clippy::print_stderr)]
            {
                eprintln!("skipped: {} is not there", path.display());
            }
            continue;
        };
        for line in lines.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let queries = match record["queries"].as_array() {
                Some(queries) => queries.clone(),
                None => vec![record.clone()],
            };
            for query in queries {
                let text = query["query"].as_str().unwrap();
                let wrong = record["parse_error"].as_bool().unwrap_or(false);
                let diagnostics = match record["kind"].as_str() {
                    Some("expression") => parse_expression(text).err().unwrap_or_default(),
                    _ => parse(text).diagnostics,
                };
                assert_eq!(!diagnostics.is_empty(), wrong, "{}\n{}", record["id"], render("query", text, &diagnostics));
                if record["kind"] != "expression" && !wrong {
                    round_trip(text);
                }
                count += 1;
            }
        }
    }
    #[allow(clippy::print_stderr)]
    {
        eprintln!("{count} queries of the sample were read");
    }
}

/// A text, its new layout, and the layout of that: the same tree, the same comments, the same text at last.
fn round_trip(text: &str) {
    let script = read(text);
    let new = reformat(text).unwrap();
    let again = parse(&new);
    assert!(again.diagnostics.is_empty(), "{text}\n→\n{new}\n{}", render("new", &new, &again.diagnostics));
    assert_eq!(shape(&script), shape(&again.script), "{text}\n→\n{new}");
    let comments = |s: &Script| s.comments.iter().map(|c| c.text.to_string()).collect::<Vec<_>>();
    assert_eq!(comments(&script), comments(&again.script), "{text}\n→\n{new}");
    if script.comments.is_empty() {
        assert_eq!(new, reformat(&new).unwrap());
    }
}

#[test]
fn deep_and_long_texts_are_refused_or_read_but_never_overflow() {
    let on_small_stack = |name: &'static str, text: String| {
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || {
                let parsed = parse(&text);
                let _ = lint(&parsed.script);
                let _ = highlight(&text);
                if parsed.diagnostics.is_empty() {
                    let new = reformat(&text).unwrap();
                    assert!(parse(&new).diagnostics.is_empty(), "{name}");
                }
                let expression = parse_expression(&text).is_ok();
                (name, parsed.diagnostics.len(), expression)
            })
            .unwrap()
            .join()
            .unwrap()
    };
    let n = 5_000;
    let wrap = |open: &str, n: usize, middle: &str, close: &str| {
        format!("SELECT {}{middle}{} FROM x", open.repeat(n), close.repeat(n))
    };
    // Just within the limit, on every path of recursion.
    for (name, open, middle, close, depth) in [
        ("round", "(", "1", ")", 190),
        ("square", "[", "1", "]", 190),
        ("calls", "f(a=", "1", ")", 190),
        ("members", "a.f(a=", "1", ")", 190),
        ("not", "NOT ", "1", "", 190),
        ("queries", "{ SELECT ", "1", " FROM x }", 95),
        ("index", "a[", "1", "]", 190),
        ("and", "(1 AND ", "1", ")", 95),
    ] {
        assert_eq!(on_small_stack(name, wrap(open, depth, middle, close)).1, 0, "{name}");
        assert!((1..20).contains(&on_small_stack(name, wrap(open, n, middle, close)).1), "{name}");
        assert!(on_small_stack(name, wrap(open, n, middle, "")).1 > 0, "{name}");
    }
    let sources = |n: usize| format!("SELECT * FROM x{}{}", "(a={ SELECT * FROM x".repeat(n), "})".repeat(n));
    assert_eq!(on_small_stack("sources", sources(90)).1, 0);
    assert!(on_small_stack("sources", sources(n)).1 > 0);
    // Long chains.
    for sign in ["+", "-", "*", ".", "- "] {
        let chain = format!("SELECT a{} FROM x", format!("{sign}a").repeat(n));
        assert_eq!(on_small_stack("chain", chain).1, 1, "{sign}");
        let chain = format!("SELECT a{} FROM x", format!("{sign}a").repeat(400));
        assert_eq!(on_small_stack("chain", chain).1, 0, "{sign}");
    }
    assert!(on_small_stack("minus", wrap("- ", n, "1", "")).1 > 0);
    for sign in ["AND", "OR", "||", "&&"] {
        let chain = format!("SELECT a {} FROM x", format!("{sign} a ").repeat(n));
        assert_eq!(on_small_stack("long condition", chain).1, 0, "{sign}");
    }
    assert_eq!(on_small_stack("mixed", format!("SELECT a {} FROM x", "AND a && b ".repeat(n))).1, 1);
    assert_eq!(on_small_stack("array", format!("SELECT [{}] FROM x", "1, ".repeat(n))).1, 0);
    // Many mistakes, and much text.
    for text in
        ["SELECT ", "LET ", "(", ")", "'", "`", "{", "[ ) ", "\u{ab}", "f(", "a=", ",", "\\", "; ", "/*", "{ SELECT ( "]
    {
        let (_, found, _) = on_small_stack("noise", text.repeat(n));
        assert!((1..=MAX_DIAGNOSTICS).contains(&found), "{text}: {found}");
    }
    // The last problem that is reported is one after which a word is taken for another.
    let marks = "!".repeat(MAX_DIAGNOSTICS);
    for text in [format!("SELGCT f(a={marks}1)"), format!("SELECT a FORM x {marks}"), format!("{marks} SELEC * FROM x")]
    {
        assert!(on_small_stack("corrected", text).1 > 0);
    }
    // A string that does not end, behind as many problems as are reported.
    let signs = "~ ".repeat(MAX_DIAGNOSTICS);
    assert!(on_small_stack("no end", format!("SELECT 'a\nb' {signs} 'c")).1 > 0);
    assert_eq!(on_small_stack("words", "a ".repeat(MAX_TOKENS + 1)).1, 2);
    assert_eq!(parse(&" ".repeat(MAX_TEXT + 1)).diagnostics[0].code, "V0009");
}

#[test]
fn layout() {
    let text = "-- head\nselect Name,Pid /* both */ , 'a long text that takes room' as Text,upload(file=Exe, accessor=\"file\") as Upload -- why\n\
         from foreach(row={select * from pslist() where Name =~ 'x' -- inner\n}, query={select * from info()}) \
         where Name =~ 'something long' and (Pid > 1000 or Exe =~ '/tmp/') and not Name in ('bash', 'systemd', 'init') limit 5\n\n\
         let x = 5 -- five\nlet f(a, b=2) = a + b\n-- tail\n";
    let expected = "\
-- head
SELECT Name,
       Pid, /* both */
       'a long text that takes room' AS Text,
       upload(file=Exe, accessor=\"file\") AS Upload -- why
FROM foreach(
  row={
    SELECT * FROM pslist() WHERE Name =~ 'x' -- inner
  },
  query={ SELECT * FROM info() }
)
WHERE Name =~ 'something long'
  AND (Pid > 1000 OR Exe =~ '/tmp/')
  AND NOT Name IN ('bash', 'systemd', 'init')
LIMIT 5

LET x = 5 -- five
LET f(a, b=2) = a + b
-- tail
";
    assert_eq!(reformat(text).unwrap(), expected);
    assert_eq!(reformat(expected).unwrap(), expected);
    round_trip(text);
}

#[test]
fn comments_stay_wherever_they_stand() {
    let text = "/*1*/ LET /*2*/ x /*3*/ = /*4*/ a /*5*/ + /*6*/ b /*7*/ LET q /*8*/ = /*9*/ SELECT /*10*/ * /*11*/ , a /*12*/ \
                AS /*13*/ b /*14*/ FROM /*15*/ f /*16*/ ( /*17*/ x /*18*/ = /*19*/ 1 /*20*/ , /*21*/ y = { /*22*/ SELECT 1 FROM \
                z /*23*/ } /*24*/ ) /*25*/ WHERE /*26*/ a /*27*/ AND /*28*/ b -- 29\n ORDER BY /*30*/ c /*31*/ DESC /*32*/ LIMIT \
                /*33*/ 5 // 34\n/*35*/ LET z = [ /*36*/ 1 /*37*/ , /*38*/ ] /*39*/ LET e = f( /*40*/ ) /*41*/";
    round_trip(text);
    let new = reformat(text).unwrap();
    round_trip(&new);
    // One that no place is found for, and one behind the statement.
    round_trip("SELECT * FROM x ORDER BY a, b -- one\n / c -- two\nSELECT a /* three */ FROM x -- four");
}

/// Scripts that are right, by construction.
fn scripts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("`b c`".to_owned()),
        Just("`Select`".to_owned()),
        Just("NULL".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|i| i.to_string()),
        (0.0..1e20).prop_map(|f: f64| format!("{f:?}")),
        Just("- 5".to_owned()),
        Just("070".to_owned()),
        Just("0xfF".to_owned()),
        "[ -&(-~\u{e0}-\u{ff}\n]{0,12}".prop_map(|s| format!("'{}'", s.replace('\\', "\\\\"))),
        "[ -!#-~\n]{0,12}".prop_map(|s| format!("\"{}\"", s.replace('\\', "\\\\"))),
        "[ -&(-~\n]{0,12}".prop_map(|s| format!("'''{s}'''")),
        Just(r"'\x00\xff\n\''".to_owned()),
        Just("[]".to_owned()),
    ];
    let expr = leaf.prop_recursive(5, 40, 4, |inner| {
        let op = prop::sample::select(vec!["+", "-", "*", "/", "%", "AND", "OR", "&&", "||"]);
        let compare = prop::sample::select(vec!["=", "!=", "<>", "<", "<=", ">", ">=", "IN", "=~", "!~"]);
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
            (inner.clone(), compare, inner.clone()).prop_map(|(a, o, b)| format!("(({a}) {o} ({b}))")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("- -({a})")),
            inner.clone().prop_map(|a| format!("({a}).m.limit")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}:]")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|v| format!("({},)", v.join(","))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|v| format!("[{}]", v.join(" , "))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!(
                "f({})",
                v.iter().enumerate().map(|(i, e)| format!("a{i}={e}")).collect::<Vec<_>>().join(",")
            )),
            inner.clone().prop_map(|a| format!("f(q={{SELECT {a}, * FROM x WHERE {a} LIMIT 1}})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{{SELECT {a} AS b FROM A.b(c={b})}}")),
        ]
    });
    let statement = (expr.clone(), expr, 0..6).prop_map(|(a, b, kind)| match kind {
        0 => format!("LET x = {a}"),
        1 => format!("LET f(p, q={b}) = {a}"),
        2 => format!("LET x <= SELECT {a} FROM y WHERE {b}"),
        3 => format!("SELECT *, {a} AS A, {b} FROM info(x={a})"),
        4 => format!("EXPLAIN SELECT {a} FROM B.c GROUP BY {a}, {b} ORDER BY {b} DESC, {a} LIMIT {b}"),
        _ => format!("-- note\nSELECT {a} /* c */, {b} FROM x"),
    });
    prop::collection::vec(statement, 1..4).prop_map(|v| v.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layout_keeps_the_tree(text in scripts()) {
        round_trip(&text);
    }

    #[test]
    fn canonical_text_reads_as_the_same_expression(text in scripts()) {
        let script = read(&text);
        for statement in &script.statements {
            if let Statement::Let(Let { body: LetBody::Expr(expr), .. }) = statement {
                let again = parse_expression(&canonical(expr)).unwrap();
                prop_assert_eq!(without_spans(&format!("{expr:?}")), without_spans(&format!("{again:?}")));
            }
        }
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC*") {
        survives(&text);
    }

    #[test]
    fn no_mixture_of_words_is_too_odd(words in prop::collection::vec(prop::sample::select(vec![
        "SELECT", "FROM", "WHERE", "LET", "x", "f(", "(", ")", "{", "}", "[", "]", ",", "=", "<=", "*", "a.b", "'s'", "'", "\"", "`q`", "`",
        "1", "-", "--\n", "/*", "*/", "GROUP BY", "ORDER BY", "LIMIT", "DESC", "AS", "AND", "OR", "NOT", "IN", "=~", "=>", ":", ";", "LIKE",
        "IS", "NULL", "é", "“", "\\", "$", "#", "12a", "==", "JOIN", "HAVING", "FORM", "SELEC", "\u{200b}", "EXPLAIN", "'''", "\n", "!", ".",
    ]), 0..40)) {
        survives(&words.join(" "));
        survives(&words.concat());
    }
}

/// Mistakes that people make, and what they read then. The snapshot is the place to judge the wording.
#[test]
fn mistakes() {
    let (mut out, mut silent) = (String::new(), Vec::new());
    for text in MISTAKES {
        let found = check(text);
        if found.is_empty() {
            silent.push(text);
        }
        for problem in &found {
            assert!(crate::diagnostic::code(problem.code).is_some(), "{}", problem.code);
        }
        out.push_str(&render("query", text, &found));
        out.push_str("\n========\n\n");
    }
    insta::assert_snapshot!(out);
    assert!(silent.is_empty(), "{silent:#?}");
}

const MISTAKES: &[&str] = &[
    "SELECT * FORM info()",
    "SELECT * FROM pslist() WHERE Name == 'x' AND Exe LIKE '%bash'",
    "SELECT DISTINCT Name FROM pslist()",
    "SELECT Name, FROM pslist()",
    "SELECT Name Alias, Pid FROM pslist(",
    "SELECT Name\n  Pid\nFROM pslist()",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob(globs='/etc/*' accessor='file')",
    "SELECT upload(file=OSPath FROM glob(globs=\"/etc/*\")",
    "SELECT * FROM foreach(row=SELECT * FROM info(), query={ SELECT * FROM info() WHERE })",
    "LET x := 5\nSELECT x FROM scope();",
    "SELECT * FROM info() LIMIT 5 WHERE OS = 'linux' WHERE Release",
    "SELEC * FROM info()",
    "x = 5\nSELECT * FROM info() WHERE Hostname = 'it''s'",
    "LET a = \"one\nLET b = \"two\"\nSELECT a, b FROM scope()",
    "SELECT * FROM glob(globs=\"C:\\\")",
    "SELECT count(*) AS N FROM info() WHRE OS = 'linux' ODER BY OS",
    "SELECT * FROM pslist() p JOIN netstat() n ON p.Pid = n.Pid",
    "SELECT * FROM pslist(), netstat()",
    "SELECT * FROM pslist() AS p WHERE p.Pid",
    "SELECT Name, count() AS N FROM pslist() GROUP BY Name HAVING N > 1",
    "SELECT * FROM pslist() LIMIT 10 OFFSET 5",
    "SELECT * FROM pslist() UNION SELECT * FROM netstat()",
    "SELECT \u{201c}hi\u{201d} FROM scope()",
    "SELECT * FROM pslist() WHERE Exe IS NOT NULL AND Name NOT IN ('a', 'b') AND Pid BETWEEN 1 AND 5",
    "SELECT * FROM pslist() WHERE 1 < Pid < 100",
    "SELECT hash(path=[OSPath, 'x') FROM glob(globs='/*')",
    "SELECT 1 + FROM scope()",
    "SELECT * WHERE Pid = 1",
    "SELECT Name\nFROM pslist(\nLET y = 5\nSELECT y",
    "UPDATE clients SET x = 5",
    "SELECT dict(a: 1, b: 2) FROM scope() }",
    "SELECT $x, 7zip FROM scope() # note",
    "SELECT limit, Desc FROM info()",
    "SELECT * FROM (SELECT * FROM info())",
    "SELECT * FROM 'info'",
    "SELECT filter(list=x, condition=y => y > 1) FROM scope()",
    "",
    "LET select = 5",
    "LET x",
    "LET x = ",
    "LET q = (SELECT * FROM info())",
    "SELECT * FROM info() WHERE Name =~ 'a' Pid = 5",
    "SELECT if(condition=a ? b : c) FROM scope()",
    "SELECT * FROM info() WHERE !Name",
    "SELECT a.0 FROM scope()",
    "SELECT * FROM info() GROUP OS",
    "SELECT Caf\u{e9} FROM scope() /* never closed",
    "SELECT * FROM info() WHERE limit > 5 AND x = Desc",
    "SELECT * FROM info() WHERE (a = 5 AND",
    "SELECT * FROM info() WHERE a = 5) AND b = 'x')",
    "SELECT a. FROM info()",
    "SELECT * FROM chain(a={ LET x = 5 SELECT x FROM scope() }, b={ Name })",
    "SELECT CASE WHEN a THEN b ELSE c END AS d FROM info()",
    "SELECT * FROM pslist() WHERE Pid IN (SELECT Pid FROM netstat())",
    "SELECT * FROM pslist() WHERE Name =~ /bash/",
    "SELECT * FROM pslist() WHERE Name = = 'bash'",
    "SELECT Name AS 'Process Name' FROM pslist()",
    "pslist()",
    "FROM info() SELECT *",
    "WITH q AS (SELECT * FROM info()) SELECT * FROM q",
    "LET unused = 5\nLET f(x) <= x\nSELECT * FROM chmod(mode=0755, files=[f(x=1)]) WHERE a AND b OR c AND -1",
    "SELECT * FROM info() WHERE Exe =~ \"\\.exe$\" AND f(a=1, a=2)",
    "SELECT Name, FROM pslist() WHERE Name IN ('bash')",
    "SELECT Name,, Pid FROM pslist(,)",
    "SELECT * FROM glob(globs='C:\\Users\\*',, accessor='file')",
    "SELECT f(1) FROM g('a', 2)",
    "SELECT * FROM info() GROUP BY OS WHERE OS = 'linux'",
    "SELECT * FROM info() ORDER BY OS GROUP BY OS",
    "SELECT * FROM info() LIMIT 5, 10",
    "SELECT TOP 10 * FROM pslist()",
    "SELECT ALL Name FROM pslist()",
    "SELECT p.* FROM pslist() AS p",
    "SELECT Name FROM pslist WHERE Name LIKE 'a%' AND Name NOT LIKE 'b%'",
    "SELECT * FROM pslist() WHERE Exe IS NULL",
    "SELECT * FROM pslist() WHERE Name = \u{2018}bash\u{2019}",
    "SELECT * FROM pslist() WHERE Name = `bash",
    "SELECT * FROM pslist() WHERE Name =~ 'a' && !(Pid = 1)",
    "SELECT * FROM pslist() WHERE Name = 'sh' OR 'bash'",
    "SELECT * FROM info() WHERE now() > '2026-01-31' OR BootTime < NULL",
    "SELECT * FROM info() WHERE (OS = 'linux'",
    "SELECT format(format='%v', args=[Name, Pid) FROM pslist()",
    "SELECT { SELECT * FROM info() FROM scope()",
    "LET x = 5; LET y = 6; SELECT x + y FROM scope();",
    "LET x = x + 1 SELECT x FROM scope()",
    "LET f(Path, Depth) = SELECT * FROM glob(globs=Path) SELECT * FROM f(Path='/etc/*', Depth=2)",
    "LET Ticks <= SELECT * FROM clock(period=1) SELECT * FROM Ticks ORDER BY _ts",
    "SELECT * FROM watch_etw(guid='x') GROUP BY System.ID",
    "SELECT count() AS Total FROM pslist()",
    "SELECT Name, count() AS N FROM pslist() WHERE count() > 5 GROUP BY Name",
    "SELECT Size / 1024 kb FROM glob(globs='/etc/*')",
    "SELECT Name pid FROM pslist() ORDER BY Name DESCENDING",
    "SELECT * FROM pslist() ORDER BY Pid ASC, Name DSC",
    "select * form pslist() were Name = 'a' limt 5",
    "SELECT * FROM pslist() WHERE Name EQUALS 'bash'",
    "SELECT * FROM pslist() WHERE Name MATCHES 'bash' AND Pid MOD 2 = 0",
    "SELECT x++, y += 1 FROM scope()",
    "SELECT a ? b : c, a ?? b FROM scope()",
    "SELECT dict(\"a\": 1), {a: 1} FROM scope()",
    "SELECT [1, 2, 3 FROM scope()",
    "SELECT 0x FROM scope()",
    "SELECT 1.2.3.4 FROM scope()",
    "SELECT 10k, 5MB FROM scope()",
    "LET f = x => x + 1",
    "LET f(x) { x + 1 }",
    "LET f(x=) = x",
    "LET x <- 5",
    "LET x 5 SELECT x FROM scope()",
    "CREATE FUNCTION f AS SELECT 1",
    "IF x THEN SELECT 1",
    "EXPLAIN LET x = 5",
    "SELECT * FROM info() -- \nWHERE OS = 'linux' EXPLAIN",
    "SELECT EXISTS(SELECT * FROM info()) FROM scope()",
    "SELECT * FROM info() FROM scope()",
    "SELECT * FROM foreach(row={ SELECT * FROM info() } query={ SELECT 1 FROM scope() })",
    "SELECT * FROM if(condition=a, then=SELECT * FROM info(), else=SELECT 1 FROM scope())",
    "SELECT * FROM info() WHERE OS = linux'",
    "SELECT 'a' + 5 + NULL FROM scope()",
    "SELECT * FROM info() AS i, pslist() AS p WHERE i.OS = p.OS",
    "SELECT CAST(Pid AS int) FROM pslist()",
    "SELECT Name FROM pslist() WHERE Pid > (SELECT max(item=Pid) FROM pslist())",
];

#[test]
fn what_people_do_on_purpose_is_not_warned_of() {
    for text in [
        "LET x = 5 SELECT x FROM scope()",
        "LET x = 5 LET y = x SELECT y FROM scope()",
        "LET q = SELECT * FROM info() SELECT * FROM q",
        "LET f(a) = a SELECT eval(func=\"x => f(a=x)\") FROM scope()",
        "LET _x = 5 LET DEBUG <= TRUE SELECT * FROM info()",
        "LET exported = 5",
        "SELECT 0, 0.5, 007, -1, 1 + -2 FROM info() WHERE ((a AND b) OR (c AND d)) AND NOT e",
        "SELECT f(a=[1, 2], b=[1,], c=[], d=(1)) FROM info() WHERE a = -1",
        r"SELECT 'a\\d\n\x41\'\\' FROM info() WHERE a =~ '''\d'''",
    ] {
        let found = check(text);
        assert!(found.is_empty(), "{text}\n{}", render("query", text, &found));
    }
}

fn survives(text: &str) {
    let parsed = parse(text);
    for diagnostic in &parsed.diagnostics {
        assert!(diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end as usize <= text.len());
        assert!(
            text.is_char_boundary(diagnostic.span.start as usize)
                && text.is_char_boundary(diagnostic.span.end as usize)
        );
        assert!(!diagnostic.message.is_empty());
    }
    let _ = render("query", text, &parsed.diagnostics);
    let _ = parse_expression(text);
    let _ = parse_lambda(text);
    let _ = lint(&parsed.script);
    if parsed.diagnostics.is_empty() {
        round_trip(text);
    }
    let mut end = 0;
    for (span, _) in highlight(text) {
        assert!(span.start >= end && span.end > span.start, "{text:?}");
        let between = &text[end as usize..span.start as usize];
        assert!(between.trim_matches('\u{feff}').trim().is_empty(), "{between:?} in {text:?}");
        end = span.end;
    }
    assert!(text[end as usize..].trim_matches('\u{feff}').trim().is_empty());
}

#[test]
fn colours() {
    let text = "SELECT Name, f(limit=1) AS L -- c\nFROM Artifact.A(x='y') WHERE a.desc ORDER BY b ASC";
    let got: Vec<(&str, Class)> = highlight(text).into_iter().map(|(s, c)| (&text[s.range()], c)).collect();
    use Class::*;
    assert_eq!(
        got,
        [
            ("SELECT", Keyword),
            ("Name", Name),
            (",", Operator),
            ("f", Function),
            ("(", Bracket),
            ("limit", Name),
            ("=", Operator),
            ("1", Number),
            (")", Bracket),
            ("AS", Keyword),
            ("L", Name),
            ("-- c", Comment),
            ("FROM", Keyword),
            ("Artifact", Function),
            (".", Operator),
            ("A", Function),
            ("(", Bracket),
            ("x", Name),
            ("=", Operator),
            ("'y'", String),
            (")", Bracket),
            ("WHERE", Keyword),
            ("a", Name),
            (".", Operator),
            ("desc", Name),
            ("ORDER BY", Keyword),
            ("b", Name),
            ("ASC", Keyword),
        ]
    );
}
