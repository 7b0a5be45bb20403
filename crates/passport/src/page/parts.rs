//! The parts of the page, from top to bottom.

use super::{BoxError, Text, picture_start, qr};
use crate::{
    Verified,
    facts::{Facts, Finding, Overall, Step},
    steps::{capital, clock},
};
use base::{Digest, Millis};
use plant::body::Verdict;
use std::fmt::Write as _;

type Done = Result<(), BoxError>;

const CHECK: &str = "<path d=\"M7 12.6l3.4 3.4L17.2 8.6\"/>";
const CROSS: &str = "<path d=\"M8 8l8 8M16 8l-8 8\"/>";
const QUESTION: &str =
    "<path d=\"M9.2 9.4a2.9 2.9 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2.1M12 17.2v.1\"/>";
const PLUS: &str = "<path d=\"M12 7.2v9.6M7.2 12h9.6\"/>";

/// The class that colours an overall verdict.
pub(super) fn tone(overall: Overall) -> &'static str {
    match overall {
        Overall::Passed => "good",
        Overall::Failed => "bad",
        Overall::Undetermined => "open",
        Overall::Enrolled => "new",
    }
}

fn verdict_look(verdict: Verdict) -> (&'static str, &'static str, &'static str) {
    match verdict {
        Verdict::Confirmed => ("good", CHECK, "Confirmed"),
        Verdict::Pass => ("good", CHECK, "Pass"),
        Verdict::Denied => ("bad", CROSS, "Denied"),
        Verdict::Fail => ("bad", CROSS, "Fail"),
        Verdict::Undetermined => ("open", QUESTION, "Undetermined"),
        Verdict::Enrolled => ("new", PLUS, "Enrolled"),
    }
}

fn icon(shape: &str) -> String {
    format!(
        "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"11\"/>{shape}</svg>"
    )
}

fn time(at: Millis) -> String {
    format!("<time datetime=\"{at}\">{}</time>", clock(at))
}

fn hash(digest: &Digest) -> String {
    format!("<code title=\"{digest}\">{}…</code>", digest.short())
}

/// `heat-map` as “Heat map”.
fn caption(name: &str) -> String {
    match name.trim() {
        "" => "Picture".into(),
        name => capital(&name.replace(['-', '_'], " ")),
    }
}

pub(super) fn header(page: &mut String, facts: &Facts) -> Done {
    let shape = match facts.overall {
        Overall::Passed => CHECK,
        Overall::Failed => CROSS,
        Overall::Undetermined => QUESTION,
        Overall::Enrolled => PLUS,
    };
    let label = format!("QR code that leads to {}", facts.url);
    write!(
        page,
        "<header>\n<div class=\"card hero\">\n<div>\n<p class=\"eyebrow\">Digital product passport</p>\n\
         <h1>{}</h1>\n<p class=\"verdict\">{}<strong>{}</strong></p>\n<ul class=\"because\">\n",
        Text(facts.part.as_str()),
        icon(shape),
        facts.overall.word(),
    )?;
    for finding in &facts.findings {
        writeln!(page, "<li>{}.</li>", capital(finding.words))?;
    }
    write!(
        page,
        "</ul>\n</div>\n<figure class=\"code\">{}<figcaption>{}</figcaption></figure>\n</div>\n\
         <dl class=\"card line\">\n<div><dt>Plant</dt><dd>{}</dd></div>\n\
         <div><dt>Issued</dt><dd>{}</dd></div>\n<div><dt>Issuer</dt><dd class=\"mono\">{}</dd></div>\n</dl>\n</header>\n",
        qr::svg(&facts.url, &label)?,
        Text(&facts.url).to_string().replace('/', "/<wbr>"),
        Text(&facts.plant),
        time(facts.issued_at),
        Text(&facts.issuer),
    )?;
    Ok(())
}

pub(super) fn pictures(page: &mut String, facts: &Facts, pictures: &[String]) -> Done {
    if pictures.is_empty() {
        return Ok(());
    }
    page.push_str("<section aria-labelledby=\"pictures\">\n<h2 id=\"pictures\">What the analysis saw</h2>\n<div class=\"gallery\">\n");
    for (picture, data) in facts.pictures.iter().zip(pictures) {
        let name = caption(&picture.name);
        writeln!(
            page,
            "<figure class=\"card\"><img alt=\"{} of part {}\" {}{data}\"><figcaption>{}<span class=\"soft\">{}</span></figcaption></figure>",
            Text(&name),
            Text(facts.part.as_str()),
            picture_start(&picture.media_type),
            Text(&name),
            hash(&picture.sha256),
        )?;
    }
    page.push_str("</div>\n</section>\n");
    Ok(())
}

pub(super) fn findings(page: &mut String, facts: &Facts) -> Done {
    page.push_str("<section aria-labelledby=\"findings\">\n<h2 id=\"findings\">What it found</h2>\n<div class=\"grid\">\n");
    for finding in &facts.findings {
        one_finding(page, finding)?;
    }
    page.push_str("</div>\n</section>\n");
    Ok(())
}

fn one_finding(page: &mut String, finding: &Finding) -> Done {
    let (tone, shape, word) = verdict_look(finding.verdict);
    write!(
        page,
        "<article class=\"card {tone}\">\n<h3>{}</h3>\n<p class=\"chip\">{}{word}</p>\n<p>{}. {}.</p>\n\
         <dl class=\"pairs\"><div><dt>Score</dt><dd>{}</dd></div><div><dt>Turns at</dt><dd>{}</dd></div>\
         <div><dt>Program</dt><dd>{}</dd></div>",
        Text(&caption(finding.name.as_str())),
        icon(shape),
        capital(finding.words),
        Text(&capital(&finding.reference_words)),
        number(finding.score),
        number(finding.threshold),
        hash(&finding.program),
    )?;
    if let Some(reference) = &finding.reference {
        write!(page, "<div><dt>Reference</dt><dd>{}</dd></div>", hash(reference))?;
    }
    page.push_str("</dl>\n</article>\n");
    Ok(())
}

/// A score for people: four significant digits.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".into()
    } else if (0.001..1e6).contains(&magnitude) {
        let digits = match magnitude {
            m if m >= 1000.0 => 0,
            m if m >= 100.0 => 1,
            m if m >= 10.0 => 2,
            m if m >= 1.0 => 3,
            _ => 4,
        };
        let text = format!("{value:.digits$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').into(),
            false => text,
        }
    } else {
        format!("{value:.3e}")
    }
}

pub(super) fn timeline(page: &mut String, facts: &Facts) -> Done {
    page.push_str(
        "<section aria-labelledby=\"chain\">\n<h2 id=\"chain\">The chain of proofs</h2>\n\
         <p class=\"lead\">Each step rests on the one before. Each was signed by who did it, and stands on a ledger that witnesses watch.</p>\n\
         <ol class=\"chain\">\n",
    );
    for step in &facts.steps {
        one_step(page, step)?;
    }
    page.push_str("</ol>\n</section>\n");
    Ok(())
}

fn one_step(page: &mut String, step: &Step) -> Done {
    write!(
        page,
        "<li class=\"card\">\n<p class=\"eyebrow\">{}</p>\n<h3>{}</h3>\n<p>{}</p>\n<p class=\"meta\"><span>{}</span>",
        step.kind,
        Text(&step.title),
        Text(&step.detail),
        Text(&step.who),
    )?;
    if let Some(at) = step.at {
        write!(page, "<span>{}</span>", time(at))?;
    }
    if let Some(index) = step.index {
        write!(page, "<span>entry {index}</span>")?;
    }
    if let Some(digest) = &step.digest {
        write!(page, "<span>{}</span>", hash(digest))?;
    }
    page.push_str("</p>\n</li>\n");
    Ok(())
}

const PROVES: [&str; 5] = [
    "A person whom the plant's rules allowed signed the order for this part, with an approved program.",
    "Order, run, recordings, grant and report stand on one log, in this order, and the witnesses saw no other version of it.",
    "The recordings are those that the cell signed: one changed byte would change their names.",
    "The report and its pictures are those that the named processor filed, from those recordings.",
    "Nothing in this passport was changed since the site issued it.",
];

const DOES_NOT: [&str; 5] = [
    "That the part on the table bore the name in the order. Its identity is compared by its surface, as surely as the score says.",
    "That the analysis is right. It can be mistaken; its score and the score at which it turns are shown.",
    "That cameras and sensors saw what was there.",
    "What happened after the checkpoint, or that the ledger holds nothing else: this is an excerpt. The whole ledger shows it.",
    "Which plant this is. Compare the genesis below with one that you were given by another way.",
];

pub(super) fn limits(page: &mut String, verified: &Verified) -> Done {
    let facts = verified.facts();
    page.push_str("<section aria-labelledby=\"limits\">\n<h2 id=\"limits\">What this proves, and what it does not</h2>\n<div class=\"grid\">\n<div class=\"card proves\">\n<h3>It proves</h3>\n<ul>\n");
    for line in PROVES {
        writeln!(page, "<li>{line}</li>")?;
    }
    page.push_str("</ul>\n</div>\n<div class=\"card not\">\n<h3>It does not prove</h3>\n<ul>\n");
    for line in DOES_NOT {
        writeln!(page, "<li>{line}</li>")?;
    }
    write!(
        page,
        "</ul>\n</div>\n</div>\n<p class=\"lead\">A page can be drawn by anybody. To know that this one is genuine, verify the file; it needs neither the plant nor a network:</p>\n\
         <pre class=\"card\"><code>interlock passport verify {}.html</code></pre>\n</section>\n",
        Text(facts.part.as_str()),
    )?;
    Ok(())
}

pub(super) fn identifiers(page: &mut String, verified: &Verified) -> Done {
    let (facts, trust) = (verified.facts(), verified.trust());
    page.push_str("<section aria-labelledby=\"names\">\n<h2 id=\"names\">Names in full</h2>\n<dl class=\"card full\">\n");
    let mut row = |what: &str, value: &str| {
        writeln!(page, "<div><dt>{}</dt><dd>{}</dd></div>", Text(what), Text(value))
    };
    row("Genesis of the plant", &trust.genesis.to_string())?;
    row("Ledger", &trust.origin)?;
    row("Checkpoint", &format!("{} entries, root {}", trust.size, trust.root))?;
    row("Report", &facts.report.to_string())?;
    row("Credential", &verified.digest().to_string())?;
    for step in &facts.steps {
        if let (Some(digest), Some(index), true) = (&step.digest, step.index, step.kind != "ledger")
        {
            row(&format!("Entry {index}, {}", step.kind), &digest.to_string())?;
        }
        for (what, value) in &step.names {
            row(what, value)?;
        }
    }
    for finding in &facts.findings {
        row(&format!("Program of {}", finding.name), &finding.program.to_string())?;
        if let Some(reference) = &finding.reference {
            row(&format!("Reference of {}", finding.name), &reference.to_string())?;
        }
    }
    for picture in &facts.pictures {
        row(&format!("Picture “{}”", caption(&picture.name)), &picture.sha256.to_string())?;
    }
    page.push_str("</dl>\n</section>\n");
    Ok(())
}

pub(super) fn footer(page: &mut String, facts: &Facts) -> Done {
    writeln!(
        page,
        "<footer>\n<p>W3C verifiable credential (vc+jwt, EdDSA) in the shape of the UN Transparency Protocol's digital product passport; it is inside this page. Published at <span class=\"mono\">{}</span>.</p>\n</footer>",
        Text(&facts.url)
    )?;
    Ok(())
}
