/** A network between browser and console that loses what the site answers. */
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to an entry on its way: it passes, its answer is lost, or a gateway gives up before the site. */
export type Way = "pass" | "swallow" | "timeout";

async function read(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export class Relay {
  way: Way = "pass";
  /** The entries that were sent, byte for byte. */
  readonly sent: string[] = [];
  private constructor(private readonly server: Server) {}

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  static async to(port: number): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    server.on("request", (asked, answer) => {
      void (async () => {
        const body = await read(asked);
        const { method, url = "", headers } = asked;
        const entry = method === "POST" && url.startsWith("/api/v1/entries");
        const way = entry ? relay.way : "pass";
        if (entry) relay.sent.push(body.toString());
        if (way === "timeout") return answer.writeHead(504).end();
        const on = request({ host: "127.0.0.1", port, method, path: url, headers }, (got) => {
          if (way === "swallow") return void read(got).then(() => asked.socket.destroy());
          answer.writeHead(got.statusCode ?? 502, got.headers).flushHeaders();
          got.pipe(answer);
        });
        on.on("error", () => answer.destroy());
        answer.on("close", () => on.destroy());
        on.end(body);
      })().catch(() => answer.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
