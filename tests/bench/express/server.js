// One-time codes as the vendors' tutorials have them: Express, a code in Redis with a time to live, a
// POST to the vendor. What a tutorial leaves out is left out here too, but not what makes the figures
// comparable: the code is stored before it is sent, and Redis syncs before it answers.
//
// usage: node server.js PORT REDIS-SOCKET VENDOR-URL
import crypto from "node:crypto";
import http from "node:http";
import express from "express";
import { createClient } from "redis";

const [port, socket, vendor] = process.argv.slice(2);
const redis = createClient({ socket: { path: socket } });
await redis.connect();

const target = new URL(vendor);
const agent = new http.Agent({ keepAlive: true });

function send(to, text) {
  const body = JSON.stringify({ to, text });
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const request = http.request(target, { method: "POST", agent, headers }, (response) => {
      response.resume();
      response.on("end", () => (response.statusCode === 200 ? resolve() : reject(new Error("vendor"))));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const app = express();
app.use(express.json());

app.post("/issue", async (request, response, next) => {
  try {
    const { user, phone } = request.body;
    const code = String(crypto.randomInt(1_000_000)).padStart(6, "0");
    await redis.set(`code:${user}`, code, { EX: 300 });
    await send(phone, `${code} is your code. Never share it.`);
    response.json({ sent: true });
  } catch (error) {
    next(error);
  }
});

app.post("/verify", async (request, response, next) => {
  try {
    const { user, code } = request.body;
    const expected = await redis.getDel(`code:${user}`);
    if (expected !== code) return response.status(401).json({ granted: false });
    response.json({ granted: true });
  } catch (error) {
    next(error);
  }
});

app.listen(Number(port), "127.0.0.1", () => console.log("ready"));
