import assert from "node:assert/strict";
import { readJunit } from "../../tools/junit.ts";
import { test } from "../harness.ts";

// Reports as each runtime wrote them, of a test that passes, one that is skipped and one or two that fail.
const DENO_REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="4" failures="2" errors="0" time="0.034">
    <testsuite name="./multi_test.ts" tests="4" disabled="1" errors="0" failures="2">
        <testcase name="ok" classname="./multi_test.ts" time="0.001" line="1" col="6">
        </testcase>
        <testcase name="not here &amp; &lt;now&gt;" classname="./multi_test.ts" time="0.000" line="2" col="6">
            <skipped/>
        </testcase>
        <testcase name="bad" classname="./multi_test.ts" time="0.002" line="3" col="6">
            <failure message="Uncaught Error: x &lt;skipped">Error: x &lt;skipped
Deno.test(&quot;bad&quot;, () =&gt; { throw new Error(&quot;x &lt;skipped&quot;); });
    at file:///multi_test.ts:3:32</failure>
        </testcase>
        <testcase name="leak" classname="./multi_test.ts" time="0.021" line="4" col="6">
            <failure message="Leaks detected">Leaks detected:
  - A timer was started in this test, but never completed.</failure>
        </testcase>
    </testsuite>
</testsuites>
`;

const BUN_REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="3" assertions="0" failures="1" skipped="1" time="0.060693514">
  <testsuite name="m_test.ts" file="m_test.ts" tests="3" assertions="0" failures="1" skipped="1" time="0.002595245">
    <testcase name="ok" classname="" time="0.000047" file="m_test.ts" line="2" assertions="0" />
    <testcase name="not here &amp; &lt;now&gt;" classname="" time="0" file="m_test.ts" line="3" assertions="0">
      <skipped />
    </testcase>
    <testcase name="bad" classname="" time="0.000196" file="m_test.ts" line="4" assertions="0">
      <failure type="Error" message="x &lt;skipped">Error: x &lt;skipped&#10;      at m_test.ts:4:49&#10;</failure>
    </testcase>
  </testsuite>
</testsuites>
`;

const NODE_REPORT = `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
\t<testcase name="ok" time="0.001539" classname="test" file="/m_test.ts"/>
\t<testcase name="not here &amp; &lt;now>" time="0.000111" classname="test" file="/m_test.ts">
\t\t<skipped type="skipped" message="true"/>
\t</testcase>
\t<testcase name="bad" time="0.000175" classname="test" file="/m_test.ts" failure="x &lt;skipped">
\t\t<failure type="testCodeFailure" message="x &lt;skipped">
[Error [ERR_TEST_FAILURE]: x &lt;skipped] {
  code: 'ERR_TEST_FAILURE'
}
\t\t</failure>
\t</testcase>
\t<!-- tests 3 -->
</testsuites>
`;

test("readJunit() reads what Deno writes", () => {
  const tally = { passed: ["ok"], skipped: ["not here & <now>"], failed: ["bad", "leak"] };
  assert.deepEqual(readJunit(DENO_REPORT), tally);
}, { pure: true });

test("readJunit() reads what Bun writes", () => {
  assert.deepEqual(readJunit(BUN_REPORT), { passed: ["ok"], skipped: ["not here & <now>"], failed: ["bad"] });
}, { pure: true });

test("readJunit() reads what Node writes", () => {
  assert.deepEqual(readJunit(NODE_REPORT), {
    passed: ["ok"],
    skipped: ["not here & <now>"],
    failed: ["bad"],
  });
}, { pure: true });

test("readJunit() finds nothing in a report cut short before the first test", () => {
  assert.deepEqual(readJunit(""), { passed: [], skipped: [], failed: [] });
  assert.deepEqual(readJunit(DENO_REPORT.slice(0, 100)), { passed: [], skipped: [], failed: [] });
}, { pure: true });
