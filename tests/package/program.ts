// What a user writes against the installed package; it is compiled before it runs.
import { createClient } from "@connectrpc/connect";
import { dial, DialOptions, type ViamChannel } from "@viam-dial/dial";
import { EchoService, startMachine } from "@viam-dial/dial/testing";

await using robot = await startMachine();
for (const disableWebrtc of [false, true]) {
  const options = DialOptions.withApiKey(robot.apiKey, robot.apiKeyId, { insecure: true, disableWebrtc });
  await using machine: ViamChannel = await dial(robot.address, options);
  const echo = createClient(EchoService, machine);
  const { message } = await echo.echo({ message: machine.kind });
  let letters = "";
  for await (const { message } of echo.echoMultiple({ message: "stream" })) letters += message;
  console.log(message, letters);
}
