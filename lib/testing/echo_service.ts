import { EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import type { Routes } from "../server/routes.ts";

/** The example service of goutils (protocol §1.4). */
export const echoRoutes: Routes = (router) => {
  router.service(EchoService, {
    echo: ({ message }) => ({ message }),
    async *echoMultiple({ message }) {
      for (const character of message) yield { message: character };
    },
    async *echoBiDi(requests) {
      for await (const { message } of requests) {
        for (const character of message) yield { message: character };
      }
    },
  });
};
