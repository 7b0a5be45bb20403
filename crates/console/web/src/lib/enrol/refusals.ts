/** Why an enrolment was refused, in words for a person who has seen nothing else yet. */
import { Problem } from "../api/client";

/** What the person can do about an error of an enrolment. */
export function advice(error: unknown): string {
  if (!(error instanceof Problem)) return "";
  if (error.status === 0) return "Your passkey is made and waits here: try again when the site answers.";
  if (error.status === 429) return "The site takes few enrolments a minute. Wait a minute, then try again.";
  const rule = error.refusal?.rule;
  if (rule === "enrolment") {
    return "The link was used already, was taken back, or is not approved yet: a second security officer must approve an invitation. Ask whoever gave it to you.";
  }
  if (rule === "time") return "The link has ended, or the clock of this machine is wrong. Ask a security officer for a new link.";
  if (rule === "target") return "The link is for another plant.";
  return "";
}
