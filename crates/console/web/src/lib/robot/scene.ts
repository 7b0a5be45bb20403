/**
 * The arm in three dimensions. Loaded when somebody looks at it; draws only when
 * something changed; holds nothing of the graphics card after `dispose`.
 */
import {
  AxesHelper, BufferAttribute, BufferGeometry, CapsuleGeometry, Color, CylinderGeometry, DirectionalLight,
  DynamicDrawUsage, Group, HemisphereLight, Line, LineBasicMaterial, LineSegments, Matrix4, Mesh, MeshLambertMaterial,
  PerspectiveCamera, Quaternion, Scene, Vector3, WebGLRenderer,
} from "three";
import type { Arm } from "./arms";
import { bodies, frames, type Body, type Frame } from "./kinematics";

/** Resolved colours, as CSS writes them. */
export interface Palette { link: string; joint: string; grid: string; trail: string }
/** Where one looks from: rad and metres. */
interface View { azimuth: number; height: number; distance: number }

/** Points of the tool's trail. */
export const TRAIL = 1200;
const UP = new Vector3(0, 1, 0);
const START: View = { azimuth: -0.9, height: 0.45, distance: 3 };

export class ArmScene {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(35, 1, 0.05, 40);
  private readonly links: Group[] = [];
  private readonly tube = new MeshLambertMaterial();
  private readonly joint = new MeshLambertMaterial();
  private readonly gridLine = new LineBasicMaterial();
  private readonly trailLine = new LineBasicMaterial();
  private readonly trail = new BufferGeometry();
  private readonly points = new BufferAttribute(new Float32Array(3 * TRAIL), 3).setUsage(DynamicDrawUsage);
  private count = 0;
  private readonly reach: number;
  private view = { ...START };
  private dirty = true;

  /** Throws where the browser has no WebGL. */
  constructor(canvas: HTMLCanvasElement, private readonly arm: Arm) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true, powerPreference: "low-power" });
    this.renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    this.reach = Math.abs(arm.a[1] ?? 0) + Math.abs(arm.a[2] ?? 0) + (arm.d[4] ?? 0);
    this.camera.up.set(0, 0, 1);
    const sun = new DirectionalLight(0xffffff, 2.2);
    sun.position.set(1.5, -1, 3);
    this.scene.add(new HemisphereLight(0xffffff, 0x8890a0, 1.6), sun, this.floor(), this.trace());
    this.build();
    this.setJoints([0, -Math.PI / 2, -Math.PI / 2, -Math.PI / 2, Math.PI / 2, 0]);
  }

  private floor(): LineSegments {
    const step = 0.1 * Math.max(1, Math.round(this.reach * 2));
    const half = step * 8;
    const ends: number[] = [];
    for (let at = -half; at <= half + step / 2; at += step) ends.push(at, -half, 0, at, half, 0, -half, at, 0, half, at, 0);
    const lines = new BufferGeometry().setAttribute("position", new BufferAttribute(new Float32Array(ends), 3));
    return new LineSegments(lines, this.gridLine);
  }

  private trace(): Line {
    this.trail.setAttribute("position", this.points).setDrawRange(0, 0);
    const line = new Line(this.trail, this.trailLine);
    // Its bounds change with each point; it is small and always in sight.
    line.frustumCulled = false;
    return line;
  }

  private build(): void {
    for (let i = 0; i <= 6; i++) {
      const link = new Group();
      link.matrixAutoUpdate = false;
      this.links.push(link);
      this.scene.add(link);
    }
    for (const body of bodies(this.arm)) this.links[body.link]?.add(this.mesh(body));
    this.links[6]?.add(new AxesHelper(0.12 * this.reach));
  }

  private mesh({ from, to, radius, kind }: Body): Mesh {
    const [begin, end] = [new Vector3(...from), new Vector3(...to)];
    const along = end.clone().sub(begin);
    const length = along.length();
    const shape = kind === "tube" ? new CapsuleGeometry(radius, length, 6, 20) : new CylinderGeometry(radius, radius, length, 28);
    const mesh = new Mesh(shape, kind === "tube" ? this.tube : this.joint);
    mesh.position.copy(begin).add(end).multiplyScalar(0.5);
    if (length > 0) mesh.quaternion.copy(new Quaternion().setFromUnitVectors(UP, along.normalize()));
    return mesh;
  }

  paint({ link, joint, grid, trail }: Palette): void {
    this.tube.color = new Color(link);
    this.joint.color = new Color(joint);
    this.gridLine.color = new Color(grid);
    this.trailLine.color = new Color(trail);
    this.dirty = true;
  }

  setJoints(q: ArrayLike<number>): void {
    frames(this.arm, q).forEach((frame, i) => {
      const link = this.links[i];
      if (link === undefined) return;
      link.matrix.copy(matrix(frame));
      link.matrixWorldNeedsUpdate = true;
    });
    this.dirty = true;
  }

  /** Adds a point to the tool's trail; the oldest goes when it is full. */
  pushTrail(x: number, y: number, z: number): void {
    const { array } = this.points;
    const last = 3 * (this.count - 1);
    if (this.count > 0 && Math.hypot(x - (array[last] ?? 0), y - (array[last + 1] ?? 0), z - (array[last + 2] ?? 0)) < 0.001) return;
    if (this.count === TRAIL) {
      array.copyWithin(0, 3);
      this.count -= 1;
    }
    this.points.setXYZ(this.count, x, y, z);
    this.count += 1;
    this.points.needsUpdate = true;
    this.trail.setDrawRange(0, this.count);
    this.dirty = true;
  }

  clearTrail(): void {
    this.count = 0;
    this.trail.setDrawRange(0, 0);
    this.dirty = true;
  }

  /** Turns the view, rad. */
  orbit(azimuth: number, height: number): void {
    this.view.azimuth += azimuth;
    this.view.height = Math.min(1.5, Math.max(-0.1, this.view.height + height));
    this.dirty = true;
  }

  /** Moves nearer (below 1) or away. */
  zoom(factor: number): void {
    this.view.distance = Math.min(8, Math.max(1.2, this.view.distance * factor));
    this.dirty = true;
  }

  reset(): void {
    this.view = { ...START };
    this.dirty = true;
  }

  resize(width: number, height: number): void {
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / Math.max(1, height);
    this.camera.updateProjectionMatrix();
    this.dirty = true;
  }

  /** Draws, when something changed. */
  render(): void {
    if (!this.dirty) return;
    this.dirty = false;
    const { azimuth, height, distance } = this.view;
    const away = distance * this.reach;
    const middle = new Vector3(0, 0, 0.42 * this.reach);
    this.camera.position.set(
      away * Math.cos(height) * Math.cos(azimuth), away * Math.cos(height) * Math.sin(azimuth), middle.z + away * Math.sin(height),
    );
    this.camera.lookAt(middle);
    this.renderer.render(this.scene, this.camera);
  }

  dispose(): void {
    this.scene.traverse((thing) => {
      if (thing instanceof Mesh || thing instanceof Line) (thing.geometry as BufferGeometry).dispose();
      if (thing instanceof AxesHelper) thing.dispose();
    });
    [this.tube, this.joint, this.gridLine, this.trailLine].forEach((material) => material.dispose());
    this.renderer.dispose();
    // A browser keeps few contexts: give this one back now, not when memory runs out.
    this.renderer.forceContextLoss();
  }
}

function matrix(f: Frame): Matrix4 {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, g = 0, h = 0, i = 0, j = 0, k = 0, l = 0, m = 0] = f;
  return new Matrix4().set(a, b, c, d, e, g, h, i, j, k, l, m, 0, 0, 0, 1);
}
