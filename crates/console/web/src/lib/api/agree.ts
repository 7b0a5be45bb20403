/** Types written here that the site's OpenAPI document knows, too: where they differ, this does not compile. */
import type { Check, Submitted } from "../ledger/types";
import type { components } from "./schema";

type Schemas = components["schemas"];
type Same<Ours extends Theirs, Theirs> = Ours;

export type Agreed = [Same<Submitted, Schemas["Submitted"]>, Same<Schemas["Submitted"], Submitted>, Same<Check, Schemas["Check"]>, Same<Schemas["Check"], Check>];
