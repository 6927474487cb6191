/** A machine in a process of its own. Prints its address; its standard output says nothing else. */

import { startMachine } from "../../../lib/testing/mod.ts";
import { stubbornUpload } from "../stubborn_upload.ts";

const machine = await startMachine({ auth: "none", routes: stubbornUpload });
console.log(machine.address);
