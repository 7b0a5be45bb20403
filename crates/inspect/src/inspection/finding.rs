//! The inspection as an [`Analysis`]: views, verdict, details and pictures.

use super::report::{Alignment, Defect, Mode};
use super::scene::Scene;
use super::{Inspection, picture};
use crate::{Analysis, AnalysisError, Finding, Input, Photograph, Picture, Verdict};
use serde::Serialize;

/// One view's part of a finding's details.
#[derive(Debug, Serialize)]
struct View<'a> {
    view: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alignment: Option<Alignment>,
    defects: Vec<Defect>,
}

impl Analysis for Inspection {
    fn id(&self) -> &'static str {
        "inspection"
    }

    fn program(&self) -> String {
        let s = &self.settings;
        format!(
            "inspection 1; model sha256:{}; threshold {}; margin {}; dark conductor {}",
            self.model.digest(),
            s.threshold,
            s.margin,
            s.dark_conductor
        )
    }

    fn analyse(&self, input: &Input) -> Result<Finding, AnalysisError> {
        let missing = |what| AnalysisError::Missing { analysis: "inspection", what };
        if input.photographs.is_empty() {
            return Err(missing("photograph"));
        }
        if input.reference.is_empty() {
            return Err(missing("template"));
        }
        let (mut views, mut pictures) = (Vec::new(), Vec::new());
        let (mut verdict, mut score) = (Verdict::Pass, 0.0_f32);
        for photograph in input.photographs {
            let (view, scored, mut drawn) = self.view(photograph, input.reference)?;
            let found = match (&view.reason, view.defects.is_empty()) {
                (Some(_), _) => Verdict::Undetermined,
                (None, true) => Verdict::Pass,
                (None, false) => Verdict::Fail,
            };
            verdict = graver(verdict, found);
            score = score.max(scored);
            if input.photographs.len() > 1 {
                drawn.iter_mut().for_each(|p| p.name = format!("{}-{}", p.name, view.view));
            }
            pictures.extend(drawn);
            views.push(view);
        }
        let details = serde_json::to_value(serde_json::json!({ "views": views }));
        let details = details.map_err(|e| AnalysisError::Output {
            analysis: "inspection",
            what: "details",
            reason: e.to_string(),
        })?;
        let threshold = f64::from(self.settings.threshold);
        Ok(Finding { verdict, score: f64::from(score), threshold, details, pictures })
    }
}

impl Inspection {
    fn view<'p>(
        &self,
        photograph: &'p Photograph,
        reference: &[Photograph],
    ) -> Result<(View<'p>, f32, Vec<Picture>), AnalysisError> {
        let view = photograph.view.as_str();
        let unknown = |reason: String| View {
            view,
            reason: Some(reason),
            mode: None,
            alignment: None,
            defects: Vec::new(),
        };
        let Some(template) = reference.iter().find(|r| r.view == view) else {
            let reason = format!("there is no template of view `{view}`");
            return Ok((unknown(reason), 0.0, Vec::new()));
        };
        let scene = match Scene::new(&template.plane, &photograph.plane, &self.settings) {
            Ok(scene) => scene,
            Err(e) => return Ok((unknown(e.to_string()), 0.0, Vec::new())),
        };
        let comparison = self.judge(&scene);
        let defects: Vec<Defect> = comparison.defects(self.settings.threshold).cloned().collect();
        let pictures = vec![
            picture::framed(&photograph.plane, defects.iter())?,
            picture::heat(&template.plane, &scene.heat())?,
        ];
        let score = comparison.candidates.first().map_or(0.0, |d| d.confidence);
        let view = View {
            view,
            reason: None,
            mode: Some(comparison.mode),
            alignment: Some(comparison.alignment),
            defects,
        };
        Ok((view, score, pictures))
    }
}

/// A failure outweighs an open question, which outweighs a pass.
fn graver(a: Verdict, b: Verdict) -> Verdict {
    let weight = |v: Verdict| match v {
        Verdict::Fail | Verdict::Denied => 2,
        Verdict::Undetermined => 1,
        Verdict::Pass | Verdict::Confirmed | Verdict::Enrolled => 0,
    };
    if weight(b) > weight(a) { b } else { a }
}
