// Types of the part of tr46 that Crossfade uses (Unicode Technical Standard 46, the lookup form of IDNA).
declare module 'tr46' {
  interface Options {
    checkHyphens?: boolean;
    checkBidi?: boolean;
    checkJoiners?: boolean;
    useSTD3ASCIIRules?: boolean;
    transitionalProcessing?: boolean;
  }
  const tr46: { toUnicode(domain: string, options?: Options): { domain: string; error: boolean } };
  export default tr46;
}
